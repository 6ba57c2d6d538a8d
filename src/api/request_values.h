// Values of a request's JSON, read as strictly as OpenAI's API reads them: the wrong type, a number
// out of range or a missing member is an error that names the parameter.
#pragma once

#include <simdjson.h>

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/error_status.h"
#include "base/result.h"

namespace hearth::api {

namespace dom = simdjson::dom;

inline constexpr std::size_t kJsonDepthMax = 64;

template <class T = void>
using Parsed = std::expected<T, ApiError>;

std::unexpected<ApiError> refuse(std::string code, std::string param, std::string message);
std::unexpected<ApiError> wrong_type(std::string_view param, const char* expected, dom::element found);
std::unexpected<ApiError> missing(std::string_view param);
std::unexpected<ApiError> too_many(std::string_view param, std::size_t limit, std::size_t found);

// The body of a request: one JSON object, nested at most kJsonDepthMax deep.  `parser` owns it, and
// keeps its memory for the next.
Parsed<dom::object> parse_body(dom::parser& parser, std::string_view body);

// "a string", "an array", ... as the API's messages say it.
const char* describe(dom::element value);

Parsed<std::string_view> as_string(std::string_view param, dom::element value);
Parsed<bool> as_bool(std::string_view param, dom::element value);
Parsed<dom::object> as_object(std::string_view param, dom::element value);
Parsed<dom::array> as_array(std::string_view param, dom::element value);
Parsed<double> as_number(std::string_view param, dom::element value, double min, double max);
Parsed<std::int64_t> as_integer(std::string_view param, dom::element value, std::int64_t min,
                                std::int64_t max);

// "messages[0]" and "role" -> "messages[0].role"
std::string at(std::string_view path, std::string_view member);

// Calls `read("messages[0]", element)` for each element, and ends with its first error.
template <class Read>
Parsed<> read_array(std::string_view param, dom::element value, std::size_t n_max, Read read) {
  HEARTH_TRY(const dom::array array, as_array(param, value));
  if (array.size() > n_max) return too_many(param, n_max, array.size());
  std::size_t i = 0;
  for (const dom::element element : array) {
    HEARTH_TRY_VOID(read(std::string(param) + '[' + std::to_string(i++) + ']', element));
  }
  return {};
}

// Appends what `parse("messages[0]", element)` makes of each element to `out`.
template <class T, class Parse>
Parsed<> read_list(std::vector<T>& out, std::string_view param, dom::element value, std::size_t n_max, Parse parse) {
  return read_array(param, value, n_max, [&](const std::string& path, dom::element element) -> Parsed<> {
    HEARTH_TRY(T one, parse(path, element));
    out.push_back(std::move(one));
    return {};
  });
}

// Sets `out` to the member's text; absent and null are the same, and leave it.
Parsed<> set_optional_text(std::string& out, std::string_view path, dom::object object,
                           const char* member);

}  // namespace hearth::api
