#include "api/answer_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

namespace hearth::api {
namespace {

namespace dom = simdjson::dom;
namespace grammar = text::grammar;

using Parsed = std::expected<grammar::GrammarPtr, ApiError>;

std::unexpected<ApiError> refuse(std::string code, std::string param, std::string message) {
  return std::unexpected(
      ApiError{.message = std::move(message), .param = std::move(param), .code = std::move(code)});
}

std::unexpected<ApiError> wrong_type(const std::string& param, std::string_view expected) {
  return refuse("invalid_type", param,
                fmt::format("Invalid type for '{}': expected {}.", param, expected));
}

std::unexpected<ApiError> missing(const std::string& param) {
  return refuse("missing_required_parameter", param,
                fmt::format("Missing required parameter: '{}'.", param));
}

Parsed finish(const std::string& param, std::string code, std::string_view what,
              Result<grammar::GrammarPtr> compiled) {
  if (compiled) return *std::move(compiled);
  return refuse(std::move(code), param,
                fmt::format("Invalid {} for '{}': {}.", what, param, compiled.error().message));
}

// ---- One function per kind of value ----

// An object, or, as some clients send it, its text.
Parsed schema(const std::string& param, dom::element value) {
  std::string_view text;
  if (value.get_string().get(text) == simdjson::SUCCESS) {
    return finish(param, "invalid_json_schema", "schema", grammar::compile_json_schema(text));
  }
  if (!value.is_object() && !value.is_bool()) return wrong_type(param, "a JSON schema");
  return finish(param, "invalid_json_schema", "schema",
                grammar::compile_json_schema(simdjson::minify(value)));
}

Parsed regex(const std::string& param, dom::element value) {
  std::string_view text;
  if (value.get_string().get(text) != simdjson::SUCCESS) return wrong_type(param, "a string");
  return finish(param, "invalid_value", "regular expression", grammar::compile_regex(text));
}

// An empty grammar is none: some clients send the field always.
Parsed gbnf(const std::string& param, dom::element value) {
  std::string_view text;
  if (value.get_string().get(text) != simdjson::SUCCESS) return wrong_type(param, "a string");
  if (text.empty()) return nullptr;
  return finish(param, "invalid_value", "grammar", grammar::compile_gbnf(text));
}

Parsed choice(const std::string& param, dom::element value) {
  dom::array list;
  if (value.get_array().get(list) != simdjson::SUCCESS)
    return wrong_type(param, "an array of strings");
  std::vector<std::string> choices;
  for (const dom::element entry : list) {
    std::string_view text;
    if (entry.get_string().get(text) != simdjson::SUCCESS)
      return wrong_type(param, "an array of strings");
    choices.emplace_back(text);
  }
  return finish(param, "invalid_value", "list", grammar::compile_choice(choices));
}

Parsed json_object(const std::string& param, dom::element value) {
  bool yes = false;
  if (value.get_bool().get(yes) != simdjson::SUCCESS) return wrong_type(param, "a boolean");
  if (!yes) return nullptr;
  return finish(param, "invalid_value", "value", grammar::compile_json_object());
}

// ---- Fields ----

using Reader = Parsed (*)(const std::string& param, dom::element value);

struct Row {
  std::string_view name;
  Reader read;
};

constexpr auto kStructuredOutputs = std::to_array<Row>({{"json", schema},
                                                        {"regex", regex},
                                                        {"choice", choice},
                                                        {"grammar", gbnf},
                                                        {"json_object", json_object}});

Parsed structured_outputs(const std::string& param, dom::element value) {
  dom::object object;
  if (value.get_object().get(object) != simdjson::SUCCESS) return wrong_type(param, "an object");
  grammar::GrammarPtr found;
  for (const Row& row : kStructuredOutputs) {
    dom::element part;
    if (object[row.name].get(part) != simdjson::SUCCESS || part.is_null()) continue;
    const std::string part_param = fmt::format("{}.{}", param, row.name);
    auto read = row.read(part_param, part);
    if (!read) return read;
    if (*read != nullptr && found != nullptr) {
      return refuse("invalid_value", part_param,
                    fmt::format("Invalid '{}': it may hold only one kind of constraint.", param));
    }
    if (*read != nullptr) found = *std::move(read);
  }
  return found;
}

Parsed response_format(const std::string& param, dom::element value) {
  dom::object format;
  if (value.get_object().get(format) != simdjson::SUCCESS) return wrong_type(param, "an object");
  dom::element type, part;
  const std::string type_param = param + ".type";
  if (format["type"].get(type) != simdjson::SUCCESS) return missing(type_param);
  std::string_view name;
  if (type.get_string().get(name) != simdjson::SUCCESS) return wrong_type(type_param, "a string");
  if (name == "text") return nullptr;
  if (name == "json_object") {
    if (format["schema"].get(part) == simdjson::SUCCESS && !part.is_null()) {
      return schema(param + ".schema", part);
    }
    return finish(param, "invalid_value", "value", grammar::compile_json_object());
  }
  if (name != "json_schema") {
    return refuse(
        "invalid_value", type_param,
        fmt::format("Invalid value: '{}'. Supported values are: 'text', 'json_object', and "
                    "'json_schema'.",
                    name.substr(0, 40)));
  }
  const std::string schema_param = param + ".json_schema";
  dom::object wrapped;
  if (format["json_schema"].get(part) != simdjson::SUCCESS) return missing(schema_param);
  if (part.get_object().get(wrapped) != simdjson::SUCCESS)
    return wrong_type(schema_param, "an object");
  if (wrapped["schema"].get(part) != simdjson::SUCCESS) return missing(schema_param + ".schema");
  if (!part.is_object() && !part.is_bool())
    return wrong_type(schema_param + ".schema", "a JSON schema");
  return finish(param, "invalid_json_schema",
                "schema",  // As OpenAI words it: the whole field's fault.
                grammar::compile_json_schema(simdjson::minify(part)));
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

Parsed parse_answer_format(std::string_view field, dom::element value) {
  const auto* row = std::ranges::find(kFields, field, &Row::name);
  HEARTH_CHECK(row != kFields.end());
  return row->read(std::string(field), value);
}

}  // namespace hearth::api
