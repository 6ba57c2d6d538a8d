#include "api/answer_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "api/request_values.h"

namespace hearth::api {
namespace {

namespace grammar = text::grammar;

using Found = Parsed<grammar::GrammarPtr>;

Found finish(const std::string& param, std::string code, std::string_view what,
             Result<grammar::GrammarPtr> compiled) {
  if (compiled) return *std::move(compiled);
  return refuse(std::move(code), param,
                fmt::format("Invalid {} for '{}': {}.", what, param, compiled.error().message));
}

// ---- One function per kind of value ----

// An object, or, as some clients send it, its text.
Found schema(const std::string& param, dom::element value) {
  std::string_view text;
  if (value.get_string().get(text) == simdjson::SUCCESS) {
    return finish(param, "invalid_json_schema", "schema", grammar::compile_json_schema(text));
  }
  if (!value.is_object() && !value.is_bool()) return wrong_type(param, "a JSON schema", value);
  return finish(param, "invalid_json_schema", "schema",
                grammar::compile_json_schema(simdjson::minify(value)));
}

Found regex(const std::string& param, dom::element value) {
  HEARTH_TRY(const std::string_view text, as_string(param, value));
  return finish(param, "invalid_value", "regular expression", grammar::compile_regex(text));
}

// An empty grammar is none: some clients send the field always.
Found gbnf(const std::string& param, dom::element value) {
  HEARTH_TRY(const std::string_view text, as_string(param, value));
  if (text.empty()) return nullptr;
  return finish(param, "invalid_value", "grammar", grammar::compile_gbnf(text));
}

Found choice(const std::string& param, dom::element value) {
  HEARTH_TRY(const dom::array list, as_array(param, value));
  std::vector<std::string> choices;
  for (const dom::element entry : list) {
    HEARTH_TRY(const std::string_view text, as_string(param, entry));
    choices.emplace_back(text);
  }
  return finish(param, "invalid_value", "list", grammar::compile_choice(choices));
}

Found json_object(const std::string& param, dom::element value) {
  HEARTH_TRY(const bool yes, as_bool(param, value));
  if (!yes) return nullptr;
  return finish(param, "invalid_value", "value", grammar::compile_json_object());
}

// ---- Fields ----

using Reader = Found (*)(const std::string& param, dom::element value);

struct Row {
  std::string_view name;
  Reader read;
};

constexpr auto kStructuredOutputs = std::to_array<Row>({{"json", schema},
                                                        {"regex", regex},
                                                        {"choice", choice},
                                                        {"grammar", gbnf},
                                                        {"json_object", json_object}});

Found structured_outputs(const std::string& param, dom::element value) {
  HEARTH_TRY(const dom::object object, as_object(param, value));
  grammar::GrammarPtr found;
  for (const Row& row : kStructuredOutputs) {
    const auto part = member(object, row.name);
    if (!part) continue;
    const std::string part_param = at(param, row.name);
    auto read = row.read(part_param, *part);
    if (!read) return read;
    if (*read != nullptr && found != nullptr) {
      return refuse("invalid_value", part_param,
                    fmt::format("Invalid '{}': it may hold only one kind of constraint.", param));
    }
    if (*read != nullptr) found = *std::move(read);
  }
  return found;
}

Found response_format(const std::string& param, dom::element value) {
  HEARTH_TRY(const dom::object format, as_object(param, value));
  HEARTH_TRY(const std::string_view type, need_text(format, param, "type"));
  if (type == "text") return nullptr;
  if (type == "json_object") {
    if (const auto given = member(format, "schema")) return schema(at(param, "schema"), *given);
    return finish(param, "invalid_value", "value", grammar::compile_json_object());
  }
  if (type != "json_schema") {
    return refuse("invalid_value", at(param, "type"),
                  fmt::format("Invalid value: '{}'. Supported values are: 'text', 'json_object', and "
                              "'json_schema'.", type.substr(0, 40)));
  }
  const std::string path = at(param, "json_schema");
  HEARTH_TRY(const dom::element wrapper, need(format, param, "json_schema"));
  HEARTH_TRY(const dom::object wrapped, as_object(path, wrapper));
  HEARTH_TRY(const dom::element given, need(wrapped, path, "schema"));
  if (!given.is_object() && !given.is_bool()) return wrong_type(at(path, "schema"), "a JSON schema", given);
  // The whole field's fault, as OpenAI words it.
  return finish(param, "invalid_json_schema", "schema", grammar::compile_json_schema(simdjson::minify(given)));
}

constexpr auto kFields = std::to_array<Row>({{"response_format", response_format},
                                             {"grammar", gbnf},
                                             {"json_schema", schema},
                                             {"guided_json", schema},
                                             {"guided_regex", regex},
                                             {"guided_choice", choice},
                                             {"guided_grammar", gbnf},
                                             {"structured_outputs", structured_outputs},
                                             {"regex", regex},
                                             {"ebnf", gbnf}});

}  // namespace

Found parse_answer_format(std::string_view field, dom::element value) {
  const auto* row = std::ranges::find(kFields, field, &Row::name);
  HEARTH_CHECK(row != kFields.end());
  return row->read(std::string(field), value);
}

}  // namespace hearth::api
