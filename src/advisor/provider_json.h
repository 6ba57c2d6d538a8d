// Members of the JSON that other servers send.  Nothing in it is trusted: what is not there, or of
// another type, is null, "" or -1, and words for people are cut to a line.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "advisor/pricing.h"

namespace hearth::advisor {

using Json = nlohmann::json;

// As the provider words it; all empty for no error.
struct ProviderError {
  std::string type, code, message;
  bool is_set() const { return !type.empty() || !code.empty() || !message.empty(); }
};

const Json& member(const Json& object, const char* key);
std::string text_member(const Json& object, const char* key);  // An integer counts as its digits.
std::int64_t count_member(const Json& object, const char* key);

// The counts of a `usage` object; leaves `use` alone where there is none.
void read_use(const Json& usage, TokenUse& use);

// An error object, or a string in its place.
ProviderError read_error(const Json& error);

// Valid UTF-8 without control characters, of at most 300 bytes.
std::string short_text(std::string text);

}  // namespace hearth::advisor
