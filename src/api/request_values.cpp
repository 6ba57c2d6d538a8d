#include "api/request_values.h"

#include <fmt/format.h>

#include <algorithm>

namespace hearth::api {
namespace {

using dom::element_type;

// "a string", "an array", ... as the API's messages say it.
const char* description_of(dom::element value) {
  switch (value.type()) {
    case element_type::ARRAY: return "an array";
    case element_type::OBJECT: return "an object";
    case element_type::INT64:
    case element_type::UINT64: return "an integer";
    case element_type::DOUBLE: return "a decimal number";
    case element_type::STRING: return "a string";
    case element_type::BOOL: return "a boolean";
    case element_type::NULL_VALUE: return "null";
  }
  return "something else";
}

}  // namespace

std::unexpected<ApiError> refuse(std::string code, std::string param, std::string message) {
  return std::unexpected(
      ApiError{.message = std::move(message), .param = std::move(param), .code = std::move(code)});
}

const char* describe(dom::element value) { return description_of(value); }

std::unexpected<ApiError> wrong_type(std::string_view param, const char* expected, dom::element found) {
  return refuse("invalid_type", std::string(param),
                fmt::format("Invalid type for '{}': expected {}, but got {} instead.", param, expected,
                            describe(found)));
}

std::unexpected<ApiError> missing(std::string_view param) {
  return refuse("missing_required_parameter", std::string(param),
                fmt::format("Missing required parameter: '{}'.", param));
}

std::unexpected<ApiError> too_many(std::string_view param, std::size_t limit, std::size_t found) {
  return refuse("array_above_max_length", std::string(param),
                fmt::format("Invalid '{}': too many entries. Expected at most {}, but got {} instead.",
                            param, limit, found));
}

Parsed<dom::object> parse_body(dom::parser& parser, std::string_view body) {
  // The parser keeps its memory for the next request; the depth bounds what recursion could cost.
  if (parser.max_depth() != kJsonDepthMax) {
    if (parser.allocate(std::max<std::size_t>(body.size(), 1), kJsonDepthMax) != simdjson::SUCCESS) {
      return std::unexpected(ApiError{.status = 503, .message = "Out of memory for the request."});
    }
  }
  dom::element root;
  const auto error = parser.parse(body.data(), body.size()).get(root);
  if (error == simdjson::DEPTH_ERROR) {
    return refuse("invalid_json", "",
                  fmt::format("The request's body is nested deeper than the limit of {} levels.",
                              kJsonDepthMax));
  }
  if (error != simdjson::SUCCESS) {
    return refuse("invalid_json", "", fmt::format("The request's body is not valid JSON: {}",
                                                  simdjson::error_message(error)));
  }
  dom::object object;
  if (root.get_object().get(object) != simdjson::SUCCESS) {
    return refuse("invalid_json", "",
                  fmt::format("The request's body must be a JSON object, but it is {}.", describe(root)));
  }
  return object;
}

// ---- Strictly typed values ----

Parsed<std::string_view> as_string(std::string_view param, dom::element value) {
  std::string_view text;
  if (value.get_string().get(text) != simdjson::SUCCESS) return wrong_type(param, "a string", value);
  return text;
}

Parsed<bool> as_bool(std::string_view param, dom::element value) {
  bool yes = false;
  if (value.get_bool().get(yes) != simdjson::SUCCESS) return wrong_type(param, "a boolean", value);
  return yes;
}

Parsed<dom::object> as_object(std::string_view param, dom::element value) {
  dom::object object;
  if (value.get_object().get(object) != simdjson::SUCCESS) return wrong_type(param, "an object", value);
  return object;
}

Parsed<dom::array> as_array(std::string_view param, dom::element value) {
  dom::array array;
  if (value.get_array().get(array) != simdjson::SUCCESS) return wrong_type(param, "an array", value);
  return array;
}

Parsed<double> as_number(std::string_view param, dom::element value, double min, double max) {
  double number = 0;
  if (!value.is_number() || value.get_double().get(number) != simdjson::SUCCESS) {
    return wrong_type(param, "a number", value);
  }
  if (number >= min && number <= max) return number;
  const bool above = number > max;
  return refuse(above ? "decimal_above_max_value" : "decimal_below_min_value", std::string(param),
                fmt::format("Invalid '{}': decimal {} value. Expected a value {} {}, but got {} "
                            "instead.", param, above ? "above maximum" : "below minimum",
                            above ? "<=" : ">=", above ? max : min, number));
}

Parsed<std::int64_t> as_integer(std::string_view param, dom::element value, std::int64_t min,
                                std::int64_t max) {
  const bool huge = value.type() == element_type::UINT64;  // Beyond int64: above any maximum here.
  std::int64_t number = 0;
  if (!huge && value.get_int64().get(number) != simdjson::SUCCESS) {
    return wrong_type(param, "an integer", value);
  }
  if (!huge && number >= min && number <= max) return number;
  const bool above = huge || number > max;
  return refuse(above ? "integer_above_max_value" : "integer_below_min_value", std::string(param),
                fmt::format("Invalid '{}': integer {} value. Expected a value {} {}, but got {} "
                            "instead.", param, above ? "above maximum" : "below minimum",
                            above ? "<=" : ">=", above ? max : min, simdjson::minify(value)));
}

std::string at(std::string_view path, std::string_view member) {
  return path.empty() ? std::string(member) : fmt::format("{}.{}", path, member);
}

// ---- Members ----

std::optional<dom::element> member(dom::object object, std::string_view name) {
  dom::element value;
  if (object[name].get(value) != simdjson::SUCCESS || value.is_null()) return std::nullopt;
  return value;
}

Parsed<dom::element> need(dom::object object, std::string_view path, std::string_view name) {
  dom::element value;
  if (object[name].get(value) != simdjson::SUCCESS) return missing(at(path, name));
  return value;
}

Parsed<std::string_view> need_text(dom::object object, std::string_view path, std::string_view name) {
  HEARTH_TRY(const dom::element value, need(object, path, name));
  return as_string(at(path, name), value);
}

Parsed<> set_optional_text(std::string& out, std::string_view path, dom::object object, std::string_view name) {
  const auto value = member(object, name);
  if (!value) return {};
  HEARTH_TRY(out, as_string(at(path, name), *value));
  return {};
}

Parsed<> set_optional_bool(bool& out, std::string_view path, dom::object object, std::string_view name) {
  const auto value = member(object, name);
  if (!value) return {};
  HEARTH_TRY(out, as_bool(at(path, name), *value));
  return {};
}

}  // namespace hearth::api
