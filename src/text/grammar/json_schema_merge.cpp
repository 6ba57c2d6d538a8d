// Schemas before they become a grammar: references, merging, and what excludes what.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "text/grammar/json_schema.h"

namespace hearth::text::grammar {
namespace {

constexpr int kExclusionDepthMax = 8;

std::optional<int> hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

// One step of a JSON pointer in a URI fragment: %XX, then ~1 and ~0 (RFC 6901).
std::string decode_step(std::string_view step) {
  std::string bytes;
  for (std::size_t i = 0; i < step.size(); ++i) {
    const auto high = i + 2 < step.size() && step[i] == '%' ? hex_digit(step[i + 1]) : std::nullopt;
    const auto low = high ? hex_digit(step[i + 2]) : std::nullopt;
    if (low) {
      bytes.push_back(static_cast<char>(*high * 16 + *low));
      i += 2;
    } else {
      bytes.push_back(step[i]);
    }
  }
  std::string name;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const bool is_escape = bytes[i] == '~' && i + 1 < bytes.size();
    if (is_escape && bytes[i + 1] == '1') {
      name.push_back('/');
      ++i;
    } else if (is_escape && bytes[i + 1] == '0') {
      name.push_back('~');
      ++i;
    } else {
      name.push_back(bytes[i]);
    }
  }
  return name;
}

const Schema* child_of(const Schema& schema, const std::string& name) {
  if (schema.is_object()) {
    const auto member = schema.find(name);
    return member == schema.end() ? nullptr : &*member;
  }
  const bool is_index = schema.is_array() && !name.empty() && name.size() < 6 &&
                        name.find_first_not_of("0123456789") == std::string::npos;
  if (!is_index) return nullptr;
  const auto index = static_cast<std::size_t>(std::stoul(name));
  return index < schema.size() ? &schema[index] : nullptr;
}

// ---- Merging, keyword by keyword ----

using Merge = Result<std::optional<Schema>> (*)(const Schema& a,
                                                const Schema& b);  // Unset: no value.

Result<std::optional<Schema>> merge_types(const Schema& a, const Schema& b) {
  const auto list = [](const Schema& type) {
    return type.is_array() ? type : Schema::array({type});
  };
  const Schema left = list(a), right = list(b);
  const auto has = [](const Schema& types, const Schema& type) {
    return std::ranges::find(types, type) != types.end() ||
           (type == "integer" && std::ranges::find(types, Schema("number")) != types.end());
  };
  Schema both = Schema::array();
  for (const Schema& type : left) {
    if (has(right, type)) both.push_back(type);
  }
  for (const Schema& type : right) {
    if (has(left, type) && std::ranges::find(both, type) == both.end()) both.push_back(type);
  }
  if (both.empty()) return std::nullopt;
  return both.size() == 1 ? both[0] : both;
}

Result<std::optional<Schema>> merge_enums(const Schema& a, const Schema& b) {
  Schema both = Schema::array();
  for (const Schema& value : a) {
    if (std::ranges::find(b, value) != b.end()) both.push_back(value);
  }
  if (both.empty()) return std::nullopt;
  return both;
}

Result<std::optional<Schema>> merge_required(const Schema& a, const Schema& b) {
  if (!a.is_array() || !b.is_array()) return fail(Code::kInvalidArgument, "'required' is no list");
  Schema both = a;
  for (const Schema& name : b) {
    if (std::ranges::find(both, name) == both.end()) both.push_back(name);
  }
  return both;
}

Result<std::optional<Schema>> take_larger(const Schema& a, const Schema& b) {
  if (!a.is_number() || !b.is_number()) return fail(Code::kInvalidArgument, "a bound is no number");
  return a < b ? b : a;
}

Result<std::optional<Schema>> take_smaller(const Schema& a, const Schema& b) {
  if (!a.is_number() || !b.is_number()) return fail(Code::kInvalidArgument, "a bound is no number");
  return b < a ? b : a;
}

Result<std::optional<Schema>> merge_parts(const Schema& a, const Schema& b) { return all_of(a, b); }

// Each of the one with each of the other.
Result<std::optional<Schema>> merge_choices(const Schema& a, const Schema& b) {
  if (!a.is_array() || !b.is_array() || a.size() * b.size() > 256) {
    return fail(Code::kInvalidArgument, "two 'anyOf' have too many combinations to merge");
  }
  Schema both = Schema::array();
  for (const Schema& left : a) {
    for (const Schema& right : b) both.push_back(all_of(left, right));
  }
  return both;
}

struct MergeRow {
  std::string_view keyword;
  Merge merge;
};
constexpr MergeRow kMerges[] = {
    {"type", merge_types},
    {"enum", merge_enums},
    {"required", merge_required},
    {"anyOf", merge_choices},
    {"items", merge_parts},
    {"propertyNames", merge_parts},
    {"minimum", take_larger},
    {"exclusiveMinimum", take_larger},
    {"minLength", take_larger},
    {"minItems", take_larger},
    {"minProperties", take_larger},
    {"maximum", take_smaller},
    {"exclusiveMaximum", take_smaller},
    {"maxLength", take_smaller},
    {"maxItems", take_smaller},
    {"maxProperties", take_smaller},
};

// The same in fewer words: `const` is an `enum` of one, `nullable` a choice.
Schema normalised(const Schema& schema) {
  Schema out = schema;
  if (schema.contains("const") && !schema.contains("enum")) {
    out["enum"] = Schema::array({schema["const"]});
    out.erase("const");
  }
  if (!schema.contains("nullable")) return out;
  const bool is_nullable = schema["nullable"] == true;
  out.erase("nullable");
  if (!is_nullable) return out;
  return {{"anyOf", Schema::array({out, {{"type", "null"}}})}};
}

// `items` speaks of what `prefixItems` beside it leaves over, so the two can't be merged apart.
bool has_items_in_two_ways(const Schema& a, const Schema& b) {
  const auto is_mixed = [](const Schema& one, const Schema& other) {
    return one.contains("prefixItems") &&
           (other.contains("prefixItems") || other.contains("items"));
  };
  return is_mixed(a, b) || is_mixed(b, a);
}

// What `schema` says of a property that it does not list.
Schema rule_for_others(const Schema& schema) {
  const auto others = schema.find("additionalProperties");
  return others == schema.end() ? Schema(true) : *others;
}

// A property must be what each side says of it, listed there or not.
void merge_properties(const Schema& a, const Schema& b, Schema& out) {
  const Schema none = Schema::object();
  const auto of = [&](const Schema& schema) -> const Schema& {
    const auto properties = schema.find("properties");
    return properties != schema.end() && properties->is_object() ? *properties : none;
  };
  const Schema &left = of(a), &right = of(b);
  Schema both = Schema::object();
  for (const auto& [name, schema] : left.items()) {
    both[name] = all_of(schema, right.contains(name) ? right[name] : rule_for_others(b));
  }
  for (const auto& [name, schema] : right.items()) {
    if (!left.contains(name)) both[name] = all_of(rule_for_others(a), schema);
  }
  if (a.contains("properties") || b.contains("properties")) out["properties"] = std::move(both);
  if (a.contains("additionalProperties") || b.contains("additionalProperties")) {
    out["additionalProperties"] = all_of(rule_for_others(a), rule_for_others(b));
  }
}

// The members of an allOf that says nothing else, or the schema itself.
std::vector<Schema> members_of(const Schema& schema) {
  const bool is_list = schema.is_object() && schema.size() == 1 && schema.contains("allOf") &&
                       schema["allOf"].is_array();
  if (!is_list) return {schema};
  return {schema["allOf"].begin(), schema["allOf"].end()};
}

// The values that `enum` or `const` leaves, or null.
Schema values_of(const Schema& schema) {
  if (schema.contains("const")) return Schema::array({schema["const"]});
  return schema.value("enum", Schema());
}

bool has_no_common_type(const Schema& a, const Schema& b) {
  const auto types = [](const Schema& schema) {
    Schema list = Schema::array();
    if (const auto type = schema.find("type"); type != schema.end()) {
      list = type->is_array() ? *type : Schema::array({*type});
    } else if (const Schema values = values_of(schema); values.is_array()) {
      for (const Schema& value : values) list.push_back(value.type_name());
    }
    if (schema.value("nullable", Schema()) == true) list.push_back("null");
    for (Schema& type : list) {
      if (type == "integer") type = "number";
    }
    return list;
  };
  const Schema left = types(a), right = types(b);
  if (left.empty() || right.empty()) return false;
  return std::ranges::none_of(
      left, [&](const Schema& type) { return std::ranges::find(right, type) != right.end(); });
}

bool is_object_only(const Schema& schema) {
  return schema.value("type", Schema()) == "object" && schema.value("nullable", Schema()) != true;
}

bool requires_property(const Schema& schema, const std::string& name) {
  const auto required = schema.find("required");
  return required != schema.end() && required->is_array() &&
         std::ranges::find(*required, Schema(name)) != required->end();
}

// Whether `schema` forbids a property that it does not list, and lists it not.
bool forbids(const Schema& schema, const std::string& name) {
  return schema.value("additionalProperties", Schema()) == false &&
         !schema.contains("patternProperties") &&
         !(schema.contains("properties") && schema["properties"].contains(name));
}

}  // namespace

Result<const Schema*> resolve_reference(const Schema& root, std::string_view reference) {
  const bool is_local = reference == "#" || reference.starts_with("#/");
  if (!is_local) {
    return fail(Code::kInvalidArgument,
                fmt::format("'$ref' is '{}': only references into the schema itself, '#/...', are "
                            "followed",
                            reference.substr(0, 80)));
  }
  const Schema* here = &root;
  std::string_view rest = reference.substr(1);
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const std::size_t end = std::min(rest.find('/'), rest.size());
    here = child_of(*here, decode_step(rest.substr(0, end)));
    rest.remove_prefix(end);
    if (here == nullptr) {
      return fail(
          Code::kInvalidArgument,
          fmt::format("'$ref' is '{}', which the schema does not hold", reference.substr(0, 80)));
    }
  }
  return here;
}

Schema all_of(const Schema& a, const Schema& b) {
  if (a == b || b == true) return a;
  if (a == true) return b;
  std::vector<Schema> parts = members_of(a);
  for (Schema& part : members_of(b)) {
    if (std::ranges::find(parts, part) == parts.end()) parts.push_back(std::move(part));
  }
  if (parts.size() == 1) return parts[0];
  return {{"allOf", parts}};
}

Result<Schema> merge_schemas(const Schema& first, const Schema& second) {
  if (first == false || second == false) return Schema(false);
  if (first == true) return second;
  if (second == true) return first;
  if (!first.is_object() || !second.is_object()) {
    return fail(Code::kInvalidArgument, "a schema is an object, true or false");
  }
  const Schema a = normalised(first), b = normalised(second);
  if (has_items_in_two_ways(a, b)) {
    return fail(Code::kInvalidArgument,
                "'prefixItems' and other items can't be merged: write them as one");
  }
  Schema out = Schema::object();
  for (const auto& [keyword, value] : a.items()) out[keyword] = value;
  for (const auto& [keyword, value] : b.items()) {
    if (!a.contains(keyword) || a[keyword] == value) {
      out[keyword] = value;
      continue;
    }
    if (keyword == "properties" || keyword == "additionalProperties") continue;
    const auto* row = std::ranges::find(kMerges, keyword, &MergeRow::keyword);
    if (row == std::end(kMerges)) {
      return fail(Code::kInvalidArgument,
                  fmt::format("two different '{}' can't be merged: write them as one", keyword));
    }
    HEARTH_TRY(std::optional<Schema> both, row->merge(a[keyword], value));
    if (!both) return Schema(false);
    out[keyword] = *std::move(both);
  }
  merge_properties(a, b, out);
  return out;
}

bool exclude_one_another(const Schema& root, const Schema& a, const Schema& b, int depth) {
  if (a == false || b == false) return true;
  if (depth > kExclusionDepthMax || !a.is_object() || !b.is_object()) return false;
  for (const Schema* side : {&a, &b}) {
    const auto reference = side->find("$ref");
    if (reference == side->end() || !reference->is_string()) continue;
    const auto target = resolve_reference(root, reference->get_ref<const std::string&>());
    if (!target) return false;
    return side == &a ? exclude_one_another(root, **target, b, depth + 1)
                      : exclude_one_another(root, a, **target, depth + 1);
  }
  if (has_no_common_type(a, b)) return true;
  const Schema left = values_of(a), right = values_of(b);
  if (left.is_array() && right.is_array()) {
    return std::ranges::none_of(
        left, [&](const Schema& value) { return std::ranges::find(right, value) != right.end(); });
  }
  if (!is_object_only(a) || !is_object_only(b)) return false;
  const auto differ_by = [&](const Schema& one, const Schema& other) {
    if (!one.contains("required") || !one["required"].is_array()) return false;
    return std::ranges::any_of(one["required"], [&](const Schema& name_json) {
      if (!name_json.is_string()) return false;
      const auto& name = name_json.get_ref<const std::string&>();
      if (forbids(other, name)) return true;
      if (!requires_property(other, name)) return false;
      const auto part = [&](const Schema& schema) {
        return schema.contains("properties") && schema["properties"].contains(name)
                   ? schema["properties"][name]
                   : Schema(true);
      };
      return exclude_one_another(root, part(one), part(other), depth + 1);
    });
  };
  return differ_by(a, b) || differ_by(b, a);
}

}  // namespace hearth::text::grammar
