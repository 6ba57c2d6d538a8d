// Values of a request's JSON, read as strictly as OpenAI's API reads them: the wrong type, a number
// out of range or a missing member is an error that names the parameter.
#pragma once

#include <simdjson.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

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

// "messages[0]" and "role" -> "messages[0].role"; "" and "role" -> "role"
std::string at(std::string_view path, std::string_view member);

// ---- Members of the object at `path`, which is empty for the body itself ----

// The member's value; absent where it is missing or null.
std::optional<dom::element> member(dom::object object, std::string_view name);

// The member's value, null as well; an error where it is missing.
Parsed<dom::element> need(dom::object object, std::string_view path, std::string_view name);
Parsed<std::string_view> need_text(dom::object object, std::string_view path, std::string_view name);

// Set `out` to the member's value; absent and null are the same, and leave it.
Parsed<> set_optional_text(std::string& out, std::string_view path, dom::object object, std::string_view name);
Parsed<> set_optional_bool(bool& out, std::string_view path, dom::object object, std::string_view name);

// ---- Requests read by a table ----

// A row: how the member `name` sets its part of a request.
template <class R>
struct Field {
  std::string_view name;
  Parsed<> (*set)(R& request, std::string_view param, dom::element value);
};

// Sets what `table` knows of `body`, in the table's order; null is the same as absent.
template <class R, std::size_t N>
Parsed<> set_fields(R& request, dom::object body, const std::array<Field<R>, N>& table) {
  for (const Field<R>& field : table) {
    if (const auto value = member(body, field.name)) HEARTH_TRY_VOID(field.set(request, field.name, *value));
  }
  return {};
}

template <auto Member, class R>
Parsed<> set_bool(R& request, std::string_view param, dom::element value) {
  HEARTH_TRY(request.*Member, as_bool(param, value));
  return {};
}

}  // namespace hearth::api
