// Members of the JSON that other servers send.  Nothing in it is trusted: what is not there, or of
// another type, is null, "" or -1, and words for people are cut to a line.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "advisor/pricing.h"

namespace hearth::advisor {

using Json = nlohmann::json;

// As the provider words it; all empty for no error.
struct ProviderError {
  std::string type, code, message;
  std::int64_t retry_ms = -1;  // When it says that another try makes sense; -1: it does not say.
  bool is_spent = false;       // A quota that no short wait refills.
  bool is_set() const { return !type.empty() || !code.empty() || !message.empty(); }
};

// Discarded (is_discarded()) where it is no JSON, or nested deeper than kNestingMax: what walks it
// later is recursive.
Json parse_json(std::string_view text);
inline constexpr std::size_t kNestingMax = 128;

const Json& member(const Json& object, const char* key);
std::string text_member(const Json& object, const char* key);  // An integer counts as its digits.
std::int64_t count_member(const Json& object, const char* key);

// The counts of a `usage` object of OpenAI's chat; leaves `use` alone where there is none.
void read_use(const Json& usage, TokenUse& use);

// An error object of any provider's, or a string in its place.
ProviderError read_error(const Json& error);

// Of a response of another status than 2xx: where each provider's body keeps its error.
ProviderError read_error_body(std::string_view body);

// Valid UTF-8 without control characters, of at most 300 bytes.
std::string short_text(std::string text);

}  // namespace hearth::advisor
