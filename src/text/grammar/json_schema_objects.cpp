// Objects and arrays of a schema.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "text/grammar/grammar.h"
#include "text/grammar/json_schema.h"

namespace hearth::text::grammar {

// ---- Objects ----

Result<NodeId> SchemaCompiler::object(const Schema& schema) {
  HEARTH_TRY(const std::vector<Property> properties, properties_of(schema));
  HEARTH_TRY(Extras extras, extras_of(schema, properties));
  HEARTH_TRY_VOID(read_property_counts(schema, properties, extras));
  return text_.bracketed('{', members(properties, extras), '}');
}

// Listed ones in their order, then those that are required without being listed.
Result<std::vector<SchemaCompiler::Property>> SchemaCompiler::properties_of(const Schema& schema) {
  const Schema none = Schema::object(), no_names = Schema::array();
  const auto listed_at = schema.find("properties"), required_at = schema.find("required");
  const Schema& listed = listed_at == schema.end() ? none : *listed_at;
  const Schema& required = required_at == schema.end() ? no_names : *required_at;
  if (!listed.is_object()) return wrong("'properties' is not an object");
  if (!required.is_array()) return wrong("'required' is not a list of names");
  const std::size_t n_listed = std::max(listed.size(), required.size());
  if (n_listed > kPropertiesMax) {
    return wrong(
        fmt::format("{} properties are listed, at most {} are taken", n_listed, kPropertiesMax));
  }

  std::vector<Property> properties;
  const auto add = [&](const std::string& name, const Schema& value, bool is_required) -> Result<> {
    if (name.size() > kPropertyNameBytesMax) {
      return wrong(fmt::format("a property's name has {} bytes, at most {} are taken", name.size(),
                               kPropertyNameBytesMax));
    }
    const Place place(*this, fmt::format("properties/{}", name));
    HEARTH_TRY(const NodeId node, compile(value));
    properties.push_back({name, text_.member(rules_.bytes(json_quoted(name)), node), is_required});
    return {};
  };
  for (const auto& [name, value] : listed.items()) {
    const bool is_required = std::ranges::find(required, Schema(name)) != required.end();
    HEARTH_TRY_VOID(add(name, value, is_required));
  }
  const auto others = schema.find("additionalProperties");
  for (const Schema& entry : required) {
    if (!entry.is_string()) return wrong("'required' is not a list of names");
    const auto& name = entry.get_ref<const std::string&>();
    if (std::ranges::find(properties, name, &Property::name) != properties.end()) continue;
    if (others != schema.end() && *others == false) {
      return wrong(
          fmt::format("'{}' is required, but 'additionalProperties' is false and 'properties' "
                      "does not list it",
                      name.substr(0, 80)));
    }
    HEARTH_TRY_VOID(add(name, others == schema.end() ? Schema(true) : *others, true));
  }
  return properties;
}

Result<SchemaCompiler::Extras> SchemaCompiler::extras_of(const Schema& schema,
                                                         const std::vector<Property>& properties) {
  Extras extras;
  const auto others = schema.find("additionalProperties"), names = schema.find("propertyNames");
  // What lists its properties means these; what lists none means any.
  const bool is_open = others == schema.end() ? !schema.contains("properties") : *others != false;
  if (names != schema.end() && *names != true && !properties.empty()) {
    return wrong(
        "'propertyNames' beside 'properties' or 'required' can't be enforced: leave it out");
  }
  if (!is_open) return extras;
  extras.is_allowed = true;
  NodeId key{};
  if (names != schema.end() && *names != true) {
    const Place place(*this, "propertyNames");
    HEARTH_TRY(key, compile(all_of(*names, {{"type", "string"}})));
  } else {
    std::vector<std::string> listed;
    for (const Property& property : properties) listed.push_back(property.name);
    key = text_.string_except(listed);
  }
  const Place place(*this, "additionalProperties");
  HEARTH_TRY(const NodeId value, compile(others == schema.end() ? Schema(true) : *others));
  extras.member = text_.member(key, value);
  return extras;
}

// Listed properties come or stay away, so only bounds that hold in any case, or that speak of
// extras alone, need no counting.  A name may come twice among extras: there a least can't be kept.
Result<> SchemaCompiler::read_property_counts(const Schema& schema,
                                              const std::vector<Property>& properties,
                                              Extras& extras) const {
  std::uint32_t min = 0, max = kUnbounded;
  HEARTH_TRY_VOID(read_counts(schema, "minProperties", "maxProperties", min, max));
  const auto n_required =
      static_cast<std::uint32_t>(std::ranges::count(properties, true, &Property::is_required));
  const auto n_listed = static_cast<std::uint32_t>(properties.size());
  if (max < n_required) {
    return wrong(fmt::format("'maxProperties' is {}, but {} are required", max, n_required));
  }
  if (min > n_required) {
    const bool is_first_extra = min == 1 && properties.empty() && extras.is_allowed;
    if (!is_first_extra) {
      return wrong("'minProperties' can't be enforced here: list what must be there in 'required'");
    }
    extras.min = 1;
  }
  if (max == kUnbounded || (max >= n_listed && !extras.is_allowed)) return {};
  if (n_required < n_listed) {
    return wrong("'maxProperties' beside optional properties can't be enforced: leave it out");
  }
  extras.max = max - n_listed;
  return {};
}

// Built from the back.  `after` is what may follow when a member was written, `first` when none
// was; each is a rule, since the way past an optional property meets the way behind it.
NodeId SchemaCompiler::members(const std::vector<Property>& properties, const Extras& extras) {
  NodeId after = rules_.empty(), first = rules_.empty();
  if (extras.is_allowed) {
    after = rules_.repeat(rules_.sequence({text_.comma(), extras.member}), extras.min, extras.max);
    first = text_.list(extras.member, extras.min, extras.max);
  }
  for (std::size_t i = properties.size(); i-- > 0;) {
    const Property& property = properties[i];
    const NodeId rest = rules_.named(property.name, after);
    const NodeId begun = rules_.sequence({property.member, rest});
    const NodeId going_on = rules_.sequence({text_.comma(), property.member, rest});
    if (property.is_required) {
      first = begun;
      after = going_on;
    } else {
      first = rules_.choice({begun, rules_.named(property.name, first)});
      after = rules_.choice({going_on, rest});
    }
  }
  return first;
}

// ---- Arrays ----

Result<NodeId> SchemaCompiler::array(const Schema& schema) {
  std::uint32_t min = 0, max = kUnbounded;
  HEARTH_TRY_VOID(read_counts(schema, "minItems", "maxItems", min, max));
  if (schema.value("uniqueItems", Schema()) == true && max > 1) {
    return wrong("'uniqueItems' can't be enforced while an answer is written: leave it out");
  }
  // Before draft 2020-12 `items` was a list and `additionalItems` spoke of the rest.
  const auto items = schema.find("items");
  const bool is_old = items != schema.end() && items->is_array();
  const auto prefix = is_old ? items : schema.find("prefixItems");
  const auto rest = is_old ? schema.find("additionalItems") : items;

  std::vector<NodeId> first;
  if (prefix != schema.end()) {
    if (!prefix->is_array()) return wrong("'prefixItems' is not a list of schemas");
    for (const Schema& item : *prefix) {
      const Place place(*this, fmt::format("prefixItems/{}", first.size()));
      HEARTH_TRY(const NodeId node, compile(item));
      first.push_back(node);
    }
  }
  std::optional<NodeId> more;
  // A list of first items means these, unless more are asked for.
  const bool is_rest_open =
      rest == schema.end() ? first.empty() || min > first.size() : *rest != false;
  if (is_rest_open) {
    const Place place(*this, "items");
    HEARTH_TRY(more, compile(rest == schema.end() ? Schema(true) : *rest));
  }
  HEARTH_TRY(const NodeId inside, prefixed(first, more, min, max));
  return text_.bracketed('[', inside, ']');
}

// `prefix` in its order, then `rest`; the list may end where `min` allows it.
Result<NodeId> SchemaCompiler::prefixed(const std::vector<NodeId>& prefix,
                                        std::optional<NodeId> rest, std::uint32_t min,
                                        std::uint32_t max) {
  const auto n_prefix = static_cast<std::uint32_t>(prefix.size());
  if (!rest) max = std::min(max, n_prefix);
  if (min > max) {
    return wrong(fmt::format("'minItems' is {}, but at most {} items are allowed", min, max));
  }
  if (n_prefix == 0) return rest ? text_.list(*rest, min, max) : rules_.empty();
  NodeId after = rules_.empty();
  if (rest && max > n_prefix) {
    const NodeId more = rules_.sequence({text_.comma(), *rest});
    const std::uint32_t more_max = max == kUnbounded ? kUnbounded : max - n_prefix;
    after = rules_.repeat(more, min > n_prefix ? min - n_prefix : 0, more_max);
  }
  for (std::uint32_t i = std::min(n_prefix, max); i-- > 0;) {
    const NodeId separator = i == 0 ? rules_.empty() : text_.comma();
    after = rules_.sequence({separator, prefix[i], rules_.named("items", after)});
    if (i >= min) after = rules_.optional(after);
  }
  return after;
}

}  // namespace hearth::text::grammar
