// Subscripts, attributes, membership and iteration (operators.h).
#include <algorithm>

#include <fmt/format.h>

#include "text/jinja/interpreter.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/text_ops.h"
#include "text/jinja/unicode.h"

namespace hearth::text::jinja {

namespace {

// Methods of Python's containers that change them: the sandbox hides these.
constexpr std::string_view kListMutators[] = {"append", "clear", "pop",    "reverse",
                                              "insert", "sort",  "extend", "remove"};
constexpr std::string_view kDictMutators[] = {"clear", "pop", "popitem", "setdefault", "update"};

bool is_mutator(Kind kind, std::string_view name) {
  const auto in = [&](auto& names) {
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
  };
  return (kind == Kind::kList && in(kListMutators)) || (kind == Kind::kDict && in(kDictMutators));
}

Value no_attribute(const Value& object, std::string_view name) {
  return Value::undefined(UndefinedBecause::kAttribute, name, object.kind());
}

Result<Value> no_element(Runtime& runtime, const Value& object, const Value& key) {
  if (key.is_string()) return no_attribute(object, key.text());
  TextBuilder text(runtime);
  add_repr(text, key);
  HEARTH_TRY(const Value printed, text.finish());
  return Value::undefined(UndefinedBecause::kElement, printed.text(), object.kind());
}

Value range_attribute(const Range& range, std::string_view name) {
  if (name == "start") return Value::integer(range.start);
  if (name == "stop") return Value::integer(range.stop);
  if (name == "step") return Value::integer(range.step);
  return Value::missing();
}

// Attributes that are no methods; missing where there is none of this name.
Result<Value> data_attribute(Runtime& runtime, const Value& object, std::string_view name) {
  switch (object.kind()) {
    case Kind::kNamespace: {
      const Value* found = object.name_space().attributes.find(name);
      return found ? *found : Value::missing();
    }
    case Kind::kLoop:
      return loop_attribute(runtime, object.loop(), name);
    case Kind::kMacro:
      return macro_attribute(runtime, object.macro(), name);
    case Kind::kRange:
      return range_attribute(object.range(), name);
    case Kind::kCycler:
      if (name == "current") return object.cycler().items->items[object.cycler().position];
      return Value::missing();
    case Kind::kTuple:
      if (object.sequence().is_group && name == "grouper") return object.sequence().items[0];
      if (object.sequence().is_group && name == "list") return object.sequence().items[1];
      return Value::missing();
    default:
      return Value::missing();
  }
}

// An attribute or method; missing where there is neither.
Result<Value> find_attribute(Runtime& runtime, const Value& object, std::string_view name) {
  if (is_mutator(object.kind(), name)) {
    return Value::undefined(UndefinedBecause::kUnsafe, name, object.kind());
  }
  if (const FunctionTable* methods = method_table(object.kind())) {
    if (const NativeFunction* method = methods->find(name)) {
      return Value::function(runtime.arena.make<BoundFunction>(method, object));
    }
  }
  return data_attribute(runtime, object, name);
}

// An item of what can be subscripted; missing where Python would raise.
Result<Value> find_item(Runtime& runtime, const Value& object, const Value& key) {
  if (object.is(Kind::kDict)) {
    const Value* found = hashable(key) ? object.dict().find(key) : nullptr;
    return found ? *found : Value::missing();
  }
  if (!key.is_integer()) return Value::missing();
  const bool has_items = object.is_sequence() || object.is_string() || object.is(Kind::kRange);
  if (!has_items) return Value::missing();
  HEARTH_TRY(const std::int64_t size, length(object));
  WideInt index = key.as_wide();
  if (index < 0) index += size;
  if (index < 0 || index >= size) return Value::missing();
  if (object.is(Kind::kRange)) {
    const Range& range = object.range();
    return Value::wide(runtime.arena, range.start + index * range.step);
  }
  if (object.is_sequence()) return object.sequence().items[static_cast<std::size_t>(index)];
  HEARTH_TRY_VOID(runtime.charge_text(object.text().size()));
  const std::size_t offset = byte_offset(object.text(), static_cast<std::size_t>(index));
  return Value::string(char_at(object.text(), offset), object.is_markup());
}

}  // namespace

Result<Value> get_own_attribute(Runtime& runtime, const Value& object, std::string_view name) {
  if (object.is_undefined()) return std::unexpected(undefined_error(object));
  HEARTH_TRY(const Value attribute, find_attribute(runtime, object, name));
  return attribute.is_missing() ? no_attribute(object, name) : attribute;
}

Result<Value> get_attribute(Runtime& runtime, const Value& object, std::string_view name) {
  if (object.is_undefined()) return std::unexpected(undefined_error(object));
  HEARTH_TRY(const Value attribute, find_attribute(runtime, object, name));
  if (!attribute.is_missing()) return attribute;
  if (object.is(Kind::kDict)) {
    if (const Value* found = object.dict().find(name)) return *found;
  }
  return no_attribute(object, name);
}

Result<Value> get_item(Runtime& runtime, const Value& object, const Value& key) {
  if (object.is_undefined()) return std::unexpected(undefined_error(object));
  HEARTH_TRY_VOID(runtime.charge_walk(key));
  HEARTH_TRY(Value found, find_item(runtime, object, key));
  if (found.is_missing() && key.is_string()) {
    HEARTH_TRY(found, find_attribute(runtime, object, key.text()));
  }
  if (!found.is_missing()) return found;
  return no_element(runtime, object, key);
}

// --- Slices ------------------------------------------------------------------------------------

namespace {

// The indices that a slice selects: start, start + step, ... `count` of them before `stop`.
struct SliceSpan {
  std::int64_t start, stop, step, count;
};

bool is_given(const Value& bound) { return !bound.is_missing() && !bound.is_none(); }

Result<std::int64_t> slice_bound(const Value& bound, std::int64_t size, std::int64_t lowest,
                                 std::int64_t highest, std::int64_t if_absent) {
  if (!is_given(bound)) return if_absent;
  if (!bound.is_integer()) {
    if (bound.is_undefined()) return std::unexpected(undefined_error(bound));
    return template_error("slice indices must be integers or None");
  }
  WideInt index = bound.as_wide();
  if (index < 0) index += size;
  return static_cast<std::int64_t>(std::clamp<WideInt>(index, WideInt{lowest}, WideInt{highest}));
}

Result<SliceSpan> resolve_slice(std::int64_t size, const Value& start, const Value& stop,
                                const Value& step) {
  std::int64_t stride = 1;
  if (is_given(step)) {
    if (!step.is_integer()) return template_error("slice indices must be integers or None");
    stride = static_cast<std::int64_t>(std::clamp<WideInt>(step.as_wide(), -INT32_MAX, INT32_MAX));
  }
  if (stride == 0) return template_error("a slice step of zero");
  const std::int64_t lowest = stride > 0 ? 0 : -1;
  const std::int64_t highest = stride > 0 ? size : size - 1;
  HEARTH_TRY(const std::int64_t from,
             slice_bound(start, size, lowest, highest, stride > 0 ? lowest : highest));
  HEARTH_TRY(const std::int64_t to,
             slice_bound(stop, size, lowest, highest, stride > 0 ? highest : lowest));
  const std::int64_t distance = stride > 0 ? to - from : from - to;
  const std::int64_t width = stride > 0 ? stride : -stride;
  return SliceSpan{from, to, stride, distance <= 0 ? 0 : (distance + width - 1) / width};
}

Result<Value> slice_text(Runtime& runtime, const Value& object, const SliceSpan& span) {
  const std::string_view text = object.text();
  HEARTH_TRY_VOID(runtime.charge_text(text.size()));
  const auto start = static_cast<std::size_t>(span.start);
  const auto count = static_cast<std::size_t>(span.count);
  if (count == 0) return Value::string("", object.is_markup());
  if (span.step == 1) {
    const std::size_t from = byte_offset(text, start);
    const std::size_t bytes = byte_offset(text.substr(from), count);
    return Value::string(text.substr(from, bytes), object.is_markup());
  }
  std::vector<std::string_view> chars;
  for (std::size_t i = 0; i < text.size(); i += chars.back().size()) {
    chars.push_back(char_at(text, i));
  }
  TextBuilder out(runtime);
  for (std::int64_t i = 0; i < span.count; ++i) {
    out.add(chars[static_cast<std::size_t>(span.start + i * span.step)]);
  }
  return out.finish(object.is_markup());
}

Result<Value> slice_sequence(Runtime& runtime, const Value& object, const SliceSpan& span) {
  HEARTH_TRY_VOID(runtime.charge(static_cast<std::uint64_t>(span.count) / 8));
  std::vector<Value> items;
  items.reserve(static_cast<std::size_t>(span.count));
  for (std::int64_t i = 0; i < span.count; ++i) {
    items.push_back(object.sequence().items[span.start + i * span.step]);
  }
  return object.is(Kind::kList) ? runtime.list(items) : runtime.tuple(items);
}

Value slice_range(Runtime& runtime, const Range& range, const SliceSpan& span) {
  // Bounds that no item reaches may leave 64 bits: they are cut off there.
  const auto narrow = [](WideInt value) {
    return static_cast<std::int64_t>(std::clamp<WideInt>(value, INT64_MIN, INT64_MAX));
  };
  const WideInt step = WideInt{range.step} * span.step;
  const WideInt start = range.start + WideInt{span.start} * range.step;
  const WideInt stop = range.start + WideInt{span.stop} * range.step;
  return Value::range(
      runtime.arena.make<Range>(narrow(start), narrow(stop), narrow(step), span.count));
}

}  // namespace

Result<Value> get_slice(Runtime& runtime, const Value& object, const Value& start,
                        const Value& stop, const Value& step) {
  const bool sliceable = object.is_string() || object.is_sequence() || object.is(Kind::kRange);
  if (!sliceable) {
    if (object.is_undefined()) return std::unexpected(undefined_error(object));
    return template_error(fmt::format("'{}' object can't be sliced", type_name(object)));
  }
  HEARTH_TRY(const std::int64_t size, length(object));
  HEARTH_TRY(const SliceSpan span, resolve_slice(size, start, stop, step));
  if (object.is_string()) return slice_text(runtime, object, span);
  if (object.is_sequence()) return slice_sequence(runtime, object, span);
  return slice_range(runtime, object.range(), span);
}

// --- Length, membership, iteration ---------------------------------------------------------------

Result<std::int64_t> length(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      return static_cast<std::int64_t>(char_count(value.text()));
    case Kind::kList:
    case Kind::kTuple:
      return value.sequence().size;
    case Kind::kDict:
      return value.dict().size;
    case Kind::kDictView:
      return value.view().dict->size;
    case Kind::kRange:
      return value.range().size;
    default:
      return template_error(fmt::format("object of type '{}' has no len()", type_name(value)));
  }
}

bool is_iterable(const Value& value) { return Iteration::over(value).has_value(); }

Result<Iteration> Iteration::over(const Value& source) {
  switch (source.kind()) {
    case Kind::kUndefined:
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kDictView:
    case Kind::kRange:
    case Kind::kIterator:
      return Iteration(source);
    default:
      return template_error(fmt::format("'{}' object is not iterable", type_name(source)));
  }
}

std::optional<std::int64_t> Iteration::remaining() const {
  if (source_.is(Kind::kIterator)) return std::nullopt;
  const std::int64_t size = length(source_).value_or(0);
  if (source_.is_string()) {
    return static_cast<std::int64_t>(char_count(source_.text().substr(position_)));
  }
  return size - static_cast<std::int64_t>(position_);
}

namespace {

bool next_item(Runtime& runtime, const DictView& view, std::size_t position, Value& out) {
  if (position >= view.dict->size) return false;
  const DictEntry& entry = view.dict->entries[position];
  if (view.what == ViewOf::kKeys) out = entry.key;
  if (view.what == ViewOf::kValues) out = entry.value;
  if (view.what == ViewOf::kItems) {
    auto* pair = runtime.arena.make_array<Value>(2);
    pair[0] = entry.key;
    pair[1] = entry.value;
    Extent extent{1, 1};
    extent.add(entry.key.extent());
    extent.add(entry.value.extent());
    out = Value::tuple(runtime.arena.make<Sequence>(2u, false, extent, pair));
  }
  return true;
}

}  // namespace

bool Iteration::next(Runtime& runtime, Value& out) {
  switch (source_.kind()) {
    case Kind::kString: {
      if (position_ >= source_.text().size()) return false;
      const std::string_view one = char_at(source_.text(), position_);
      position_ += one.size();
      out = Value::string(one);
      return true;
    }
    case Kind::kList:
    case Kind::kTuple:
      if (position_ >= source_.sequence().size) return false;
      out = source_.sequence().items[position_++];
      return true;
    case Kind::kDict:
      if (position_ >= source_.dict().size) return false;
      out = source_.dict().entries[position_++].key;
      return true;
    case Kind::kDictView:
      return next_item(runtime, source_.view(), position_++, out);
    case Kind::kRange: {
      const Range& range = source_.range();
      if (static_cast<std::int64_t>(position_) >= range.size) return false;
      out = Value::integer(static_cast<std::int64_t>(
          range.start + WideInt{static_cast<std::int64_t>(position_++)} * range.step));
      return true;
    }
    case Kind::kIterator: {
      Iterator& iterator = source_.iterator();
      if (iterator.next >= iterator.items->size) return false;
      out = iterator.items->items[iterator.next++];
      return true;
    }
    default:
      return false;
  }
}

Result<std::vector<Value>> collect(Runtime& runtime, const Value& value) {
  HEARTH_TRY(Iteration iteration, Iteration::over(value));
  std::vector<Value> items;
  Value item;
  while (iteration.next(runtime, item)) {
    items.push_back(item);
    if (items.size() % 1024 == 0) {
      HEARTH_TRY_VOID(runtime.reserve_items(items.size() + 1024));
    }
  }
  HEARTH_TRY_VOID(runtime.charge(items.size() / 8));
  return items;
}

namespace {

Result<bool> walk_contains(Runtime& runtime, const Value& container, const Value& item) {
  HEARTH_TRY(Iteration iteration, Iteration::over(container));
  Value candidate;
  std::uint64_t work = 0;
  while (iteration.next(runtime, candidate)) {
    ++work;
    if (equal(candidate, item)) return true;
    if (work % 64 == 0) {
      HEARTH_TRY_VOID(runtime.charge(std::uint64_t{8} * item.extent().weight));
    }
  }
  return false;
}

}  // namespace

Result<bool> contains(Runtime& runtime, const Value& container, const Value& item) {
  HEARTH_TRY_VOID(runtime.charge_walk(item));
  if (container.is_string()) {
    if (!item.is_string()) {
      return template_error(
          fmt::format("'in <string>' requires string as left operand, not {}", type_name(item)));
    }
    HEARTH_TRY_VOID(runtime.charge_text(container.text().size()));
    return find_text(container.text(), item.text()) != std::string_view::npos;
  }
  const bool by_key = container.is(Kind::kDict) ||
                      (container.is(Kind::kDictView) && container.view().what == ViewOf::kKeys);
  if (!by_key) return walk_contains(runtime, container, item);
  if (!hashable(item)) {
    return template_error(fmt::format("unhashable type: '{}'", type_name(item)));
  }
  const Dict& dict = container.is(Kind::kDict) ? container.dict() : *container.view().dict;
  return dict.find(item) != nullptr;
}

Result<std::int64_t> to_index(const Value& value, std::string_view what) {
  if (value.is_undefined()) return std::unexpected(undefined_error(value));
  if (!value.is_integer()) {
    return template_error(fmt::format("{} must be an integer, not '{}'", what, type_name(value)));
  }
  return static_cast<std::int64_t>(std::clamp<WideInt>(value.as_wide(), INT64_MIN, INT64_MAX));
}

}  // namespace hearth::text::jinja
