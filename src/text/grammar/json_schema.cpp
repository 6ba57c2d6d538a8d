#include "text/grammar/json_schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "text/grammar/grammar.h"

namespace hearth::text::grammar {
namespace {

// What a keyword says something about; kNote: nothing that an answer could break.
enum class Group : std::uint8_t { kNote, kAny, kObject, kArray, kString, kNumber, kRefused };

struct Keyword {
  std::string_view name;
  Group group;
};

constexpr auto kKeywords = std::to_array<Keyword>({
    {"$schema", Group::kNote},
    {"$id", Group::kNote},
    {"$comment", Group::kNote},
    {"$defs", Group::kNote},
    {"definitions", Group::kNote},
    {"title", Group::kNote},
    {"description", Group::kNote},
    {"default", Group::kNote},
    {"example", Group::kNote},
    {"examples", Group::kNote},
    {"deprecated", Group::kNote},
    {"readOnly", Group::kNote},
    {"writeOnly", Group::kNote},
    {"contentMediaType", Group::kNote},
    {"contentEncoding", Group::kNote},
    {"contentSchema", Group::kNote},
    {"$anchor", Group::kNote},
    {"$vocabulary", Group::kNote},
    {"type", Group::kAny},
    {"enum", Group::kAny},
    {"const", Group::kAny},
    {"anyOf", Group::kAny},
    {"oneOf", Group::kAny},
    {"allOf", Group::kAny},
    {"$ref", Group::kAny},
    {"nullable", Group::kAny},
    {"properties", Group::kObject},
    {"required", Group::kObject},
    {"additionalProperties", Group::kObject},
    {"propertyNames", Group::kObject},
    {"minProperties", Group::kObject},
    {"maxProperties", Group::kObject},
    {"items", Group::kArray},
    {"prefixItems", Group::kArray},
    {"additionalItems", Group::kArray},
    {"minItems", Group::kArray},
    {"maxItems", Group::kArray},
    {"uniqueItems", Group::kArray},
    {"pattern", Group::kString},
    {"format", Group::kString},
    {"minLength", Group::kString},
    {"maxLength", Group::kString},
    {"minimum", Group::kNumber},
    {"maximum", Group::kNumber},
    {"exclusiveMinimum", Group::kNumber},
    {"exclusiveMaximum", Group::kNumber},
    {"multipleOf", Group::kNumber},
    {"not", Group::kRefused},
    {"if", Group::kRefused},
    {"then", Group::kRefused},
    {"else", Group::kRefused},
    {"contains", Group::kRefused},
    {"minContains", Group::kRefused},
    {"maxContains", Group::kRefused},
    {"patternProperties", Group::kRefused},
    {"dependencies", Group::kRefused},
    {"dependentRequired", Group::kRefused},
    {"dependentSchemas", Group::kRefused},
    {"unevaluatedItems", Group::kRefused},
    {"unevaluatedProperties", Group::kRefused},
    {"$dynamicRef", Group::kRefused},
    {"$dynamicAnchor", Group::kRefused},
    {"$recursiveRef", Group::kRefused},
});

// Words that JSON Schema does not know are notes.
Group group_of(std::string_view name) {
  const auto* row = std::ranges::find(kKeywords, name, &Keyword::name);
  return row == kKeywords.end() ? Group::kNote : row->group;
}

// Present with nothing to say.
bool is_idle(const std::string& name, const Schema& value) {
  if (name == "required" || name == "properties" || name == "patternProperties" ||
      name == "dependentRequired" || name == "dependentSchemas") {
    return value.empty() && (value.is_array() || value.is_object());
  }
  return name == "unevaluatedProperties" || name == "unevaluatedItems" ? value == true : false;
}

// `schema` without annotations and without `left_out`.
Schema without(const Schema& schema, std::initializer_list<std::string_view> left_out) {
  Schema rest = Schema::object();
  for (const auto& [name, value] : schema.items()) {
    const bool is_left_out = std::ranges::find(left_out, name) != left_out.end();
    if (!is_left_out && group_of(name) != Group::kNote) rest[name] = value;
  }
  return rest;
}

constexpr std::pair<Group, std::string_view> kTypesOfGroups[] = {{Group::kObject, "object"},
                                                                 {Group::kArray, "array"},
                                                                 {Group::kString, "string"},
                                                                 {Group::kNumber, "number"}};
constexpr std::string_view kTypes[] = {"object",  "array",   "string", "number",
                                       "integer", "boolean", "null"};

// Brackets around one another, outside of strings; the parser and the printer of a JSON value work
// recursively.
std::size_t depth_of(std::string_view json) {
  std::size_t depth = 0, deepest = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    if (in_string && json[i] == '\\') {
      ++i;
      continue;
    }
    if (json[i] == '"') in_string = !in_string;
    if (in_string) continue;
    if (json[i] == '{' || json[i] == '[') deepest = std::max(deepest, ++depth);
    if ((json[i] == '}' || json[i] == ']') && depth > 0) --depth;
  }
  return deepest;
}

}  // namespace

std::unexpected<Error> SchemaCompiler::wrong(std::string_view what) const {
  std::string place = "#";
  for (const std::string& step : place_) place += "/" + step;
  if (place.size() > 200) place = place.substr(0, 200) + "...";
  return fail(Code::kInvalidArgument, fmt::format("at {}: {}", place, what));
}

Result<NodeId> SchemaCompiler::compile(const Schema& schema) {
  if (place_.size() > kNestingMax) {
    return wrong(fmt::format("schemas are nested more than {} deep", kNestingMax));
  }
  const std::string key = schema.dump();
  n_compared_bytes_ += key.size();
  if (key.size() > 4 * kSourceBytesMax || n_compared_bytes_ > kComparedBytesMax) {
    return wrong("its parts refer to one another so often that it is too large");
  }
  if (const auto known = known_.find(key); known != known_.end()) return rules_.rule(known->second);
  const RuleId rule = rules_.declare(place_.empty() ? "the schema" : place_.back());
  known_.emplace(key, rule);
  HEARTH_TRY(const NodeId body, body_of(schema));
  rules_.define(rule, body);
  return rules_.rule(rule);
}

Result<NodeId> SchemaCompiler::body_of(const Schema& schema) {
  if (schema.is_boolean()) {
    return schema.get<bool>() ? text_.value(kOpenDepthMax) : rules_.never();
  }
  if (!schema.is_object()) return wrong("a schema is an object, true or false");
  HEARTH_TRY_VOID(check_keywords(schema));
  if (schema.contains("$ref") || schema.contains("allOf")) return merged(schema);
  for (const char* keyword : {"anyOf", "oneOf"}) {
    if (schema.contains(keyword)) return any_of(schema, keyword);
  }
  if (schema.value("nullable", Schema()) == true) {
    HEARTH_TRY(const NodeId value, compile(without(schema, {"nullable"})));
    return rules_.choice({value, text_.null()});
  }
  if (schema.contains("enum") || schema.contains("const")) return constants(schema);
  return typed(schema);
}

Result<> SchemaCompiler::check_keywords(const Schema& schema) const {
  for (const auto& [name, value] : schema.items()) {
    if (group_of(name) != Group::kRefused || is_idle(name, value)) continue;
    return wrong(
        fmt::format("'{}' can't be enforced while an answer is written: leave it out", name));
  }
  return {};
}

// $ref, allOf and what stands beside them as one schema.
Result<NodeId> SchemaCompiler::merged(const Schema& schema) {
  const bool is_reference = schema.contains("$ref") && without(schema, {"$ref"}).empty();
  if (is_reference) {
    if (!schema["$ref"].is_string()) return wrong("'$ref' is not a string");
    const auto target = resolve_reference(root_, schema["$ref"].get_ref<const std::string&>());
    if (!target) return wrong(target.error().message);
    const Place place(*this, "$ref");
    return compile(**target);
  }
  std::vector<Schema> parts;
  HEARTH_TRY_VOID(collect(schema, parts, 0));
  Schema whole = parts.empty() ? Schema(true) : parts[0];
  for (std::size_t i = 1; i < parts.size(); ++i) {
    auto both = merge_schemas(whole, parts[i]);
    if (!both) return wrong(both.error().message);
    whole = *std::move(both);
  }
  const Place place(*this, "allOf");
  return compile(whole);
}

// The parts of `schema` that hold no $ref and no allOf of their own, each once.
Result<> SchemaCompiler::collect(const Schema& schema, std::vector<Schema>& parts,
                                 std::size_t depth) {
  if (depth > kNestingMax || ++n_merges_ > kMergesMax) {
    return wrong("'allOf' and '$ref' refer to themselves, or are too many to merge");
  }
  if (!schema.is_object()) {
    parts.push_back(schema);
    return {};
  }
  HEARTH_TRY_VOID(check_keywords(schema));
  Schema rest = without(schema, {"$ref", "allOf"});
  if (const auto reference = schema.find("$ref"); reference != schema.end()) {
    if (!reference->is_string()) return wrong("'$ref' is not a string");
    const auto target = resolve_reference(root_, reference->get_ref<const std::string&>());
    if (!target) return wrong(target.error().message);
    HEARTH_TRY_VOID(collect(**target, parts, depth + 1));
  }
  if (const auto all = schema.find("allOf"); all != schema.end()) {
    if (!all->is_array() || all->empty()) return wrong("'allOf' is not a list of schemas");
    for (const Schema& part : *all) HEARTH_TRY_VOID(collect(part, parts, depth + 1));
  }
  if (!rest.empty() && std::ranges::find(parts, rest) == parts.end()) {
    parts.push_back(std::move(rest));
  }
  return {};
}

Result<NodeId> SchemaCompiler::any_of(const Schema& schema, const char* keyword) {
  const Schema& list = schema[keyword];
  if (!list.is_array() || list.empty()) {
    return wrong(fmt::format("'{}' is not a list of schemas with at least one", keyword));
  }
  const bool is_one_of = std::string_view(keyword) == "oneOf";
  if (is_one_of && list.size() > kOneOfMax) {
    return wrong(
        fmt::format("'oneOf' lists {} schemas, at most {} are taken", list.size(), kOneOfMax));
  }
  for (std::size_t i = 0; is_one_of && i < list.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (exclude_one_another(root_, list[i], list[j])) continue;
      return wrong(
          fmt::format("'oneOf' can't be enforced, since its alternatives {} and {} may both "
                      "hold: use 'anyOf', or give each a property with its own 'const'",
                      j, i));
    }
  }
  const Schema base = without(schema, {keyword});
  std::vector<NodeId> choices;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Place place(*this, fmt::format("{}/{}", keyword, i));
    HEARTH_TRY(const NodeId choice, compile(base.empty() ? list[i] : all_of(base, list[i])));
    choices.push_back(choice);
  }
  return rules_.choice(std::move(choices));
}

Result<NodeId> SchemaCompiler::constants(const Schema& schema) {
  Schema values = schema.contains("enum") ? schema["enum"] : Schema::array({schema["const"]});
  if (!values.is_array() || values.empty()) {
    return wrong("'enum' is not a list with at least one value");
  }
  if (values.size() > kChoicesMax) {
    return wrong(
        fmt::format("'enum' lists {} values, at most {} are taken", values.size(), kChoicesMax));
  }
  const Schema beside = without(schema, {"enum", "const", "type"});
  if (!beside.empty()) {
    return wrong(
        fmt::format("'{}' beside 'enum' or 'const' can't be enforced: list only the values "
                    "that it allows",
                    beside.begin().key()));
  }
  HEARTH_TRY(const std::vector<std::string> types, types_of(schema));
  const auto has_type = [&](const Schema& value) {
    if (types.empty()) return true;
    const std::string_view name = value.type_name();
    const bool is_whole = value.is_number_integer();
    return std::ranges::any_of(types, [&](const std::string& type) {
      return type == name || (type == "integer" && is_whole);
    });
  };
  std::vector<NodeId> choices;
  for (const Schema& value : values) {
    const bool is_meant = !schema.contains("const") || value == schema["const"];
    if (is_meant && has_type(value)) choices.push_back(rules_.bytes(value.dump()));
  }
  if (choices.empty()) return wrong("no value of 'enum' or 'const' has the type that 'type' names");
  return rules_.choice(std::move(choices));
}

// What `type` lists; empty if it is absent.
Result<std::vector<std::string>> SchemaCompiler::types_of(const Schema& schema) const {
  std::vector<std::string> types;
  const auto type = schema.find("type");
  if (type == schema.end()) return types;
  const Schema list = type->is_array() ? *type : Schema::array({*type});
  for (const Schema& entry : list) {
    const bool is_known =
        entry.is_string() &&
        std::ranges::find(kTypes, entry.get_ref<const std::string&>()) != std::end(kTypes);
    if (!is_known)
      return wrong(fmt::format("'type' names {}, which is no type", entry.dump().substr(0, 40)));
    types.push_back(entry.get<std::string>());
  }
  if (types.empty()) return wrong("'type' lists nothing");
  return types;
}

Result<NodeId> SchemaCompiler::typed(const Schema& schema) {
  HEARTH_TRY(std::vector<std::string> types, types_of(schema));
  if (types.empty()) {
    // Keywords tell what kind of value is meant: where there are none, any.
    for (const auto& [group, type] : kTypesOfGroups) {
      bool is_meant = false;
      for (const auto& [name, value] : schema.items()) is_meant |= group_of(name) == group;
      if (is_meant) types.emplace_back(type);
    }
  }
  if (types.empty()) return text_.value(kOpenDepthMax);
  if (std::ranges::find(types, "number") != types.end()) std::erase(types, "integer");
  std::vector<NodeId> choices;
  for (const std::string& type : types) {
    HEARTH_TRY(const NodeId choice, of_type(schema, type));
    choices.push_back(choice);
  }
  return rules_.choice(std::move(choices));
}

Result<NodeId> SchemaCompiler::of_type(const Schema& schema, const std::string& type) {
  if (type == "object") return object(schema);
  if (type == "array") return array(schema);
  if (type == "string") return string(schema);
  if (type == "boolean") return text_.boolean();
  if (type == "null") return text_.null();
  return number(schema, type == "integer");
}

namespace {

Result<Automaton> compile_parsed(const Schema& root) {
  Rules rules;
  SchemaCompiler compiler(rules, root);
  const RuleId start = rules.declare("the schema");
  HEARTH_TRY(const NodeId body, compiler.run());
  rules.define(start, body);
  rules.set_root(start);
  return compile(std::move(rules));
}

}  // namespace

Result<GrammarPtr> compile_json_schema(std::string_view source) {
  if (source.size() > kSourceBytesMax) {
    return fail(Code::kInvalidArgument, fmt::format("the schema has {} bytes, at most {} are taken",
                                                    source.size(), kSourceBytesMax));
  }
  if (depth_of(source) > 4 * kNestingMax) {
    return fail(Code::kInvalidArgument,
                fmt::format("the schema's brackets are nested more than {} deep", 4 * kNestingMax));
  }
  const Schema root = Schema::parse(source, nullptr, false);
  if (root.is_discarded()) return fail(Code::kInvalidArgument, "the schema is not valid JSON");
  try {
    HEARTH_TRY(Automaton automaton, compile_parsed(root));
    return std::make_shared<const Grammar>(
        Grammar{fmt::format("json_schema\n{}", source), std::move(automaton)});
  } catch (const Schema::exception& e) {  // A keyword's value of a kind that nobody asked about.
    return fail(Code::kInvalidArgument, fmt::format("the schema is malformed: {}", e.what()));
  }
}

Result<GrammarPtr> compile_json_object() {
  Rules rules;
  const RuleId start = rules.declare("a JSON object");
  JsonText text(rules);
  rules.define(start, text.object(kOpenDepthMax));
  rules.set_root(start);
  HEARTH_TRY(Automaton automaton, compile(std::move(rules)));
  return std::make_shared<const Grammar>(Grammar{"json_object\n", std::move(automaton)});
}

}  // namespace hearth::text::grammar
