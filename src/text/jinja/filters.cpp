// The table of filters, and those that fit no other topic.
#include "text/jinja/filters.h"

#include <fmt/format.h>

#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/unicode.h"

namespace hearth::text::jinja {

namespace {

using Args = std::span<const Value>;

Result<Value> default_value(Runtime&, Args args) {
  const bool replaces = args[0].is_undefined() || (truth(args[2]) && !truth(args[0]));
  if (!replaces) return args[0];
  return args[1].is_missing() ? Value::string("") : args[1];
}

Result<Value> attribute(Runtime& runtime, Args args) {
  HEARTH_TRY(const Value name, to_str(runtime, args[1]));
  return get_own_attribute(runtime, args[0], name.text());
}

// transformers' tojson: json.dumps with other defaults, and no escaping for HTML.
Result<Value> json(Runtime& runtime, Args args) {
  JsonStyle style;
  style.ensure_ascii = truth(args[1]);
  if (is_given(args[2])) {
    if (args[2].is_string()) {
      style.indent = std::string(args[2].text());
    } else {
      HEARTH_TRY(const std::int64_t width, to_index(args[2], "tojson's indent"));
      if (width > 1000) return template_error("tojson's indent exceeds 1000");
      style.indent = std::string(static_cast<std::size_t>(std::max<std::int64_t>(width, 0)), ' ');
    }
    style.item_separator = ",";
  }
  if (is_given(args[3])) {
    HEARTH_TRY(const std::vector<Value> separators, collect(runtime, args[3]));
    if (separators.size() != 2 || !separators[0].is_string() || !separators[1].is_string()) {
      return template_error("tojson's separators must be two texts");
    }
    style.item_separator = separators[0].text();
    style.key_separator = separators[1].text();
  }
  style.sort_keys = truth(args[4]);
  return to_json(runtime, args[0], style);
}

constexpr FunctionSpec kFilters[] = {
    {"attr", "name", attribute},
    {"d", "[default_value] [boolean]", default_value},
    {"default", "[default_value] [boolean]", default_value},
    {"tojson", "[ensure_ascii] [indent] [separators] [sort_keys]", json},
};

}  // namespace

const FunctionTable& filter_table() {
  static const FunctionTable table(
      {kFilters, text_filters(), number_filters(), sequence_filters(), order_filters()},
      {free_text_filters(), free_sequence_filters()});
  return table;
}

// --- Attributes ----------------------------------------------------------------------------------

namespace {

// A step of a dotted path: digits are an index.
Value path_step(std::string_view step) {
  bool all_digits = !step.empty() && step.size() <= 18;
  std::int64_t number = 0;
  for (char c : step) {
    if (c < '0' || c > '9') {
      all_digits = false;
      break;
    }
    number = number * 10 + (c - '0');
  }
  return all_digits ? Value::integer(number) : Value::string(step);
}

}  // namespace

AttributePath AttributePath::parse(const Value& attribute) {
  AttributePath path;
  if (!is_given(attribute)) return path;
  if (!attribute.is_string()) {
    path.steps_.push_back(attribute);
    return path;
  }
  std::string_view rest = attribute.text();
  while (true) {
    const std::size_t dot = rest.find('.');
    path.steps_.push_back(path_step(rest.substr(0, dot)));
    if (dot == std::string_view::npos) return path;
    rest.remove_prefix(dot + 1);
  }
}

Result<Value> AttributePath::get(Runtime& runtime, const Value& item, const Value& fallback) const {
  HEARTH_TRY_VOID(runtime.charge(1));
  Value value = item;
  for (const Value& step : steps_) {
    HEARTH_TRY(value, get_item(runtime, value, step));
    if (value.is_undefined() && is_given(fallback)) value = fallback;
  }
  return value;
}

Result<Value> ignore_case(Runtime& runtime, const Value& value) {
  if (!value.is_string()) return value;
  HEARTH_TRY_VOID(runtime.charge_text(value.text().size()));
  return runtime.string(to_lower(value.text()));
}

}  // namespace hearth::text::jinja
