// Strings and numbers of a schema.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "text/grammar/grammar.h"
#include "text/grammar/json_formats.h"
#include "text/grammar/json_schema.h"
#include "text/grammar/regex.h"

namespace hearth::text::grammar {

Result<std::optional<std::uint32_t>> SchemaCompiler::count_of(const Schema& schema,
                                                              const char* keyword) const {
  const auto value = schema.find(keyword);
  if (value == schema.end()) return std::nullopt;
  const bool is_whole = value->is_number() && value->get<double>() >= 0 &&
                        value->get<double>() == static_cast<double>(value->get<std::uint64_t>());
  if (!is_whole) return wrong(fmt::format("'{}' is no whole number from 0 on", keyword));
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(value->get<std::uint64_t>(), kUnbounded - 1));
}

// A most beyond what can be counted is lowered to that: fewer texts, all of them right.
Result<> SchemaCompiler::read_counts(const Schema& schema, const char* least, const char* most,
                                     std::uint32_t& min, std::uint32_t& max) const {
  HEARTH_TRY(const auto low, count_of(schema, least));
  HEARTH_TRY(const auto high, count_of(schema, most));
  min = low.value_or(0);
  max = high ? std::min(*high, kRepetitionMax) : kUnbounded;
  if (min > kRepetitionMax) {
    return wrong(fmt::format("'{}' is {}, at most {} is taken", least, min, kRepetitionMax));
  }
  if (min > max) {
    return wrong(
        fmt::format("'{}' is {} and '{}' is {}: no value meets both", least, min, most, max));
  }
  return {};
}

Result<NodeId> SchemaCompiler::string(const Schema& schema) {
  std::uint32_t min = 0, max = kUnbounded;
  HEARTH_TRY_VOID(read_counts(schema, "minLength", "maxLength", min, max));
  const auto pattern = schema.find("pattern"), format = schema.find("format");
  const bool has_pattern = pattern != schema.end(), has_format = format != schema.end();
  if (has_pattern && has_format) {
    return wrong("'pattern' beside 'format' can't be enforced: write both as one pattern");
  }
  if (!has_pattern && !has_format) return text_.string(min, max);
  const Schema& value = has_pattern ? *pattern : *format;
  const char* const keyword = has_pattern ? "pattern" : "format";
  if (!value.is_string()) return wrong(fmt::format("'{}' is not a string", keyword));
  const auto& source = value.get_ref<const std::string&>();
  const std::string_view expression = has_pattern ? source : pattern_of_format(source);
  if (expression.empty() && has_format) {
    return wrong(fmt::format("'format' is '{}', which can't be enforced; these can: {}",
                             source.substr(0, 40), known_formats()));
  }
  const auto inside = add_regex(
      rules_, expression,
      {.is_search = has_pattern, .in_json_string = true, .length_min = min, .length_max = max});
  if (!inside) return wrong(fmt::format("in '{}', {}", keyword, inside.error().message));
  const NodeId quote = rules_.bytes("\"");
  return rules_.sequence({quote, *inside, quote});
}

// Draft 4 has true and false for the exclusive ones, beside their bound.
Result<Bounds> SchemaCompiler::bounds_of(const Schema& schema) const {
  struct Row {
    const char* keyword;
    bool is_low, is_exclusive;
  };
  static constexpr Row kRows[] = {{"minimum", true, false},
                                  {"exclusiveMinimum", true, true},
                                  {"maximum", false, false},
                                  {"exclusiveMaximum", false, true}};
  Bounds bounds;
  for (const Row& row : kRows) {
    const auto value = schema.find(row.keyword);
    if (value == schema.end()) continue;
    std::optional<Bound>& bound = row.is_low ? bounds.low : bounds.high;
    if (value->is_boolean() && row.is_exclusive) {
      if (bound && value->get<bool>()) bound->is_exclusive = true;
      continue;
    }
    if (!value->is_number()) return wrong(fmt::format("'{}' is no number", row.keyword));
    const Bound read{
        value->is_number_unsigned()  ? static_cast<long double>(value->get<std::uint64_t>())
        : value->is_number_integer() ? static_cast<long double>(value->get<std::int64_t>())
                                     : static_cast<long double>(value->get<double>()),
        row.is_exclusive};
    const bool is_tighter =
        !bound || (row.is_low ? read.value >= bound->value : read.value <= bound->value);
    if (is_tighter) bound = read;
  }
  return bounds;
}

// Of fractions a number's text does not show whether it is a multiple: readers divide in binary.
Result<std::optional<std::uint64_t>> SchemaCompiler::multiple_of(const Schema& schema) const {
  const auto value = schema.find("multipleOf");
  if (value == schema.end()) return std::nullopt;
  const double number = value->is_number() ? value->get<double>() : 0.0;
  if (number >= 1 && number <= static_cast<double>(kMultipleMax) && number == std::floor(number)) {
    return static_cast<std::uint64_t>(number);
  }
  return wrong(
      fmt::format("'multipleOf' can be enforced for whole numbers from 1 to {} only: leave "
                  "it out, or count in smaller units",
                  kMultipleMax));
}

Result<NodeId> SchemaCompiler::number(const Schema& schema, bool is_integer) {
  HEARTH_TRY(const std::optional<std::uint64_t> multiple, multiple_of(schema));
  HEARTH_TRY(const Bounds bounds, bounds_of(schema));
  if (multiple) {  // Whole numbers, also where others would do.
    auto made = json_multiple(rules_, bounds, *multiple);
    if (!made) return wrong(made.error().message);
    return *made;
  }
  const bool is_open = !bounds.low && !bounds.high;
  const std::string key = is_integer ? "integer" : "number";
  if (is_open) {  // One rule for all of them.
    if (const auto known = known_.find(key); known != known_.end())
      return rules_.rule(known->second);
  }
  auto made = is_integer ? json_integer(rules_, bounds) : json_number(rules_, bounds);
  if (!made) return wrong(made.error().message);
  if (is_open) {
    const RuleId rule = rules_.declare(key);
    rules_.define(rule, *made);
    known_.emplace(key, rule);  // No schema's text is a bare word.
  }
  return *made;
}

}  // namespace hearth::text::grammar
