// Reading JSON from strangers: lookups that take anything and give nothing where it does not fit.
//
// The library throws when a value is not of the kind that is asked for; these never do.  A missing
// member, a null and a value of another kind are one case, since every caller treats them alike.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth::convert {

using Json = nlohmann::json;

// A whole file as one value.  kInvalidArgument for one that is larger than `bytes_max`, kCorrupt
// for one that is no JSON, or the errors of opening it.
Result<Json> read_json(const std::filesystem::path& path, std::size_t bytes_max);

// nullptr for what is absent or null, and where `object` is no object or null itself.
const Json* member(const Json* object, std::string_view key);
inline const Json* member(const Json& object, std::string_view key) { return member(&object, key); }

std::optional<std::string> as_text(const Json* value);
std::optional<bool> as_bool(const Json* value);
std::optional<double> as_number(const Json* value);          // Finite.
std::optional<std::uint64_t> as_count(const Json* value);    // An integer from 0.
std::optional<std::uint32_t> as_count32(const Json* value);  // The same below 2^32.

// The elements; none for what is no array.
const Json::array_t& elements(const Json* value);

}  // namespace hearth::convert
