// Filters that compare items: sort, dictsort, min, max, unique, groupby.
#include <fmt/format.h>

#include "text/jinja/filters.h"
#include "text/jinja/operators.h"

namespace hearth::text::jinja {

namespace {

using Args = std::span<const Value>;

struct Keyed {
  Value key;
  Value item;
};

Value key_of(const Keyed& keyed) { return keyed.key; }

Result<Value> key_at(Runtime& runtime, const AttributePath& path, const Value& item,
                     bool case_sensitive, const Value& fallback = Value::missing()) {
  HEARTH_TRY(const Value key, path.get(runtime, item, fallback));
  HEARTH_TRY_VOID(runtime.charge_walk(key));
  return case_sensitive ? Result<Value>(key) : ignore_case(runtime, key);
}

// "a,b.c": sorts by a, then by b.c.
std::vector<AttributePath> parse_paths(const Value& attribute) {
  if (!attribute.is_string()) return {AttributePath::parse(attribute)};
  std::vector<AttributePath> paths;
  std::string_view rest = attribute.text();
  while (true) {
    const std::size_t comma = rest.find(',');
    paths.push_back(AttributePath::parse(Value::string(rest.substr(0, comma))));
    if (comma == std::string_view::npos) return paths;
    rest.remove_prefix(comma + 1);
  }
}

Result<Value> list_of_items(Runtime& runtime, const std::vector<Keyed>& keyed) {
  std::vector<Value> items;
  items.reserve(keyed.size());
  for (const Keyed& one : keyed) items.push_back(one.item);
  return runtime.list(items);
}

Result<Value> sort(Runtime& runtime, Args args) {
  const bool case_sensitive = truth(args[2]);
  const std::vector<AttributePath> paths = parse_paths(args[3]);
  HEARTH_TRY(const std::vector<Value> items, collect(runtime, args[0]));
  std::vector<Keyed> keyed;
  for (const Value& item : items) {
    std::vector<Value> keys;
    for (const AttributePath& path : paths) {
      HEARTH_TRY(const Value key, key_at(runtime, path, item, case_sensitive));
      keys.push_back(key);
    }
    HEARTH_TRY(const Value key, runtime.list(keys));
    keyed.push_back({key, item});
  }
  HEARTH_TRY_VOID(sort_by(runtime, keyed, key_of, truth(args[1])));
  return list_of_items(runtime, keyed);
}

Result<Value> dict_sort(Runtime& runtime, Args args) {
  if (!args[0].is(Kind::kDict)) {
    if (args[0].is_undefined()) return std::unexpected(undefined_error(args[0]));
    return template_error(fmt::format("dictsort takes a dict, not '{}'", type_name(args[0])));
  }
  const bool by_value = args[2].is_string() && args[2].text() == "value";
  const bool by_key = args[2].is_missing() || (args[2].is_string() && args[2].text() == "key");
  if (!by_value && !by_key) {
    return template_error("You can only sort by either \"key\" or \"value\"");
  }
  std::vector<Keyed> keyed;
  for (const DictEntry& entry : args[0].dict().span()) {
    Value key = by_value ? entry.value : entry.key;
    if (!truth(args[1])) {
      HEARTH_TRY(key, ignore_case(runtime, key));
    }
    const Value pair[] = {entry.key, entry.value};
    HEARTH_TRY(const Value item, runtime.tuple(pair));
    keyed.push_back({key, item});
  }
  HEARTH_TRY_VOID(sort_by(runtime, keyed, key_of, truth(args[3])));
  return list_of_items(runtime, keyed);
}

template <bool kMax>
Result<Value> extreme(Runtime& runtime, Args args) {
  HEARTH_TRY(const std::vector<Value> items, collect(runtime, args[0]));
  if (items.empty()) {
    return Value::undefined(UndefinedBecause::kHint, "No aggregated item, sequence was empty.");
  }
  const AttributePath path = AttributePath::parse(args[2]);
  Keyed best;
  for (const Value& item : items) {
    HEARTH_TRY(const Value key, key_at(runtime, path, item, truth(args[1])));
    bool is_better = best.item.is_missing();
    if (!is_better) {
      HEARTH_TRY(is_better, kMax ? less(best.key, key) : less(key, best.key));
    }
    if (is_better) best = {key, item};
  }
  return best.item;
}

Result<Value> unique(Runtime& runtime, Args args) {
  const AttributePath path = AttributePath::parse(args[2]);
  HEARTH_TRY(const std::vector<Value> items, collect(runtime, args[0]));
  Dict seen;
  std::vector<Value> kept;
  for (const Value& item : items) {
    HEARTH_TRY(const Value key, key_at(runtime, path, item, truth(args[1])));
    if (!hashable(key)) {
      return template_error(fmt::format("unhashable type: '{}'", type_name(key)));
    }
    if (seen.find(key)) continue;
    seen.set(runtime.arena, key, Value::none());
    kept.push_back(item);
  }
  return runtime.iterator("generator", kept);
}

// A (grouper, list) pair for items whose keys are equal.
Result<Value> make_group(Runtime& runtime, const AttributePath& path,
                         std::span<const Keyed> members, bool case_sensitive,
                         const Value& fallback) {
  std::vector<Value> items;
  for (const Keyed& member : members) items.push_back(member.item);
  HEARTH_TRY(const Value list, runtime.list(items));
  Value grouper = members.front().key;
  if (!case_sensitive) {
    HEARTH_TRY(grouper, path.get(runtime, items.front(), fallback));
  }
  const Value pair[] = {grouper, list};
  HEARTH_TRY(const Sequence* group, runtime.sequence(pair, true));
  return Value::tuple(group);
}

Result<Value> group_by(Runtime& runtime, Args args) {
  const Value& fallback = args[2];
  const bool case_sensitive = truth(args[3]);
  const AttributePath path = AttributePath::parse(args[1]);
  HEARTH_TRY(const std::vector<Value> items, collect(runtime, args[0]));
  std::vector<Keyed> keyed;
  for (const Value& item : items) {
    HEARTH_TRY(const Value key, key_at(runtime, path, item, case_sensitive, fallback));
    keyed.push_back({key, item});
  }
  HEARTH_TRY_VOID(sort_by(runtime, keyed, key_of));
  std::vector<Value> groups;
  for (std::size_t begin = 0; begin < keyed.size();) {
    std::size_t end = begin + 1;
    while (end < keyed.size() && equal(keyed[begin].key, keyed[end].key)) ++end;
    HEARTH_TRY(const Value group,
               make_group(runtime, path, std::span(keyed).subspan(begin, end - begin),
                          case_sensitive, fallback));
    groups.push_back(group);
    begin = end;
  }
  return runtime.list(groups);
}

constexpr FunctionSpec kOrderFilters[] = {
    {"dictsort", "[case_sensitive] [by] [reverse]", dict_sort},
    {"groupby", "attribute [default] [case_sensitive]", group_by},
    {"max", "[case_sensitive] [attribute]", extreme<true>},
    {"min", "[case_sensitive] [attribute]", extreme<false>},
    {"sort", "[reverse] [case_sensitive] [attribute]", sort},
    {"unique", "[case_sensitive] [attribute]", unique},
};

}  // namespace

std::span<const FunctionSpec> order_filters() { return kOrderFilters; }

}  // namespace hearth::text::jinja
