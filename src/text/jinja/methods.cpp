// Methods of dicts, lists, tuples, ranges, floats and cyclers; those of text are in
// methods_text.cpp.
#include <cmath>

#include <fmt/format.h>

#include "text/jinja/methods_text.h"
#include "text/jinja/operators.h"
#include "text/jinja/runtime.h"

namespace hearth::text::jinja {

namespace {

using Args = std::span<const Value>;

Result<Value> dict_get(Runtime& runtime, Args args) {
  HEARTH_TRY_VOID(runtime.charge_walk(args[1]));
  if (!hashable(args[1])) {
    return template_error(fmt::format("unhashable type: '{}'", type_name(args[1])));
  }
  if (const Value* found = args[0].dict().find(args[1])) return *found;
  return args[2].is_missing() ? Value::none() : args[2];
}

template <ViewOf kWhat>
Result<Value> dict_view(Runtime& runtime, Args args) {
  return Value::view(runtime.arena.make<DictView>(&args[0].dict(), kWhat));
}

// Nothing can change a dict or a list, so a copy is the thing itself.
Result<Value> copy_of(Runtime&, Args args) { return args[0]; }

Result<Value> count_item(Runtime& runtime, Args args) {
  HEARTH_TRY(const std::vector<Value> items, collect(runtime, args[0]));
  std::int64_t count = 0;
  for (const Value& item : items) {
    HEARTH_TRY_VOID(runtime.charge_walk(args[1]));
    count += equal(item, args[1]) ? 1 : 0;
  }
  return Value::integer(count);
}

Result<Value> index_of(Runtime& runtime, Args args) {
  HEARTH_TRY(const std::vector<Value> items, collect(runtime, args[0]));
  const auto size = static_cast<std::int64_t>(items.size());
  std::int64_t bounds[2] = {0, size};
  for (std::size_t i = 0; i < 2 && i + 2 < args.size(); ++i) {
    if (args[i + 2].is_missing()) continue;
    HEARTH_TRY(bounds[i], to_index(args[i + 2], "an index"));
    if (bounds[i] < 0) bounds[i] = std::max<std::int64_t>(0, bounds[i] + size);
  }
  for (std::int64_t i = bounds[0]; i < std::min(bounds[1], size); ++i) {
    HEARTH_TRY_VOID(runtime.charge_walk(args[1]));
    if (equal(items[static_cast<std::size_t>(i)], args[1])) return Value::integer(i);
  }
  return template_error(fmt::format("{}.index(x): x not in it", type_name(args[0])));
}

Result<Value> is_whole(Runtime&, Args args) {
  const double value = args[0].as_float();
  return Value::boolean(std::isfinite(value) && std::floor(value) == value);
}

Result<Value> cycler_next(Runtime&, Args args) {
  Cycler& cycler = args[0].cycler();
  const Value item = cycler.items->items[cycler.position];
  cycler.position = (cycler.position + 1) % cycler.items->size;
  return item;
}

Result<Value> cycler_reset(Runtime&, Args args) {
  args[0].cycler().position = 0;
  return Value::none();
}

constexpr FunctionSpec kDictMethods[] = {
    {"get", "key [default] /", dict_get},
    {"items", "", dict_view<ViewOf::kItems>},
    {"keys", "", dict_view<ViewOf::kKeys>},
    {"values", "", dict_view<ViewOf::kValues>},
    {"copy", "", copy_of},
};
constexpr FunctionSpec kListMethods[] = {
    {"copy", "", copy_of},
    {"count", "value /", count_item},
    {"index", "value [start] [stop] /", index_of},
};
constexpr FunctionSpec kTupleMethods[] = {
    {"count", "value /", count_item},
    {"index", "value [start] [stop] /", index_of},
};
constexpr FunctionSpec kRangeMethods[] = {
    {"count", "value /", count_item},
    {"index", "value /", index_of},
};
constexpr FunctionSpec kFloatMethods[] = {{"is_integer", "", is_whole}};
constexpr FunctionSpec kCyclerMethods[] = {{"next", "", cycler_next}, {"reset", "", cycler_reset}};

}  // namespace

const FunctionTable* method_table(Kind kind) {
  static const FunctionTable text({text_methods()}, {free_text_methods()});
  static const FunctionTable dict({kDictMethods});
  static const FunctionTable list({kListMethods});
  static const FunctionTable tuple({kTupleMethods});
  static const FunctionTable range({kRangeMethods});
  static const FunctionTable real({kFloatMethods});
  static const FunctionTable cycler({kCyclerMethods});
  switch (kind) {
    case Kind::kString:
      return &text;
    case Kind::kDict:
      return &dict;
    case Kind::kList:
      return &list;
    case Kind::kTuple:
      return &tuple;
    case Kind::kRange:
      return &range;
    case Kind::kFloat:
      return &real;
    case Kind::kCycler:
      return &cycler;
    default:
      return nullptr;
  }
}

}  // namespace hearth::text::jinja
