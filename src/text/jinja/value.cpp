// See value.h.  Equality and hashing follow Python: 1 == 1.0 == True, and equal keys hash
// alike.
#include "text/jinja/value.h"

#include <array>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "base/digest.h"

namespace hearth::text::jinja {

namespace {

constexpr std::uint32_t kLinearSearchMax = 8;

bool equal_items(std::span<const Value> a, std::span<const Value> b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!equal(a[i], b[i])) return false;
  }
  return true;
}

bool equal_dicts(const Dict& a, const Dict& b) {
  if (a.size != b.size) return false;
  for (const DictEntry& entry : a.span()) {
    const Value* other = b.find(entry.key);
    if (!other || !equal(entry.value, *other)) return false;
  }
  return true;
}

bool equal_ranges(const Range& a, const Range& b) {
  if (a.size != b.size) return false;
  if (a.size == 0) return true;
  return a.start == b.start && (a.size == 1 || a.step == b.step);
}

bool equal_numbers(const Value& a, const Value& b) {
  if (a.is(Kind::kInt) && b.is(Kind::kInt)) return a.as_int() == b.as_int();
  if (a.is_integer() && b.is_integer()) return a.as_wide() == b.as_wide();
  if (!a.is_integer() && !b.is_integer()) return a.as_float() == b.as_float();
  // An integer equals a float only where the conversion back is exact.
  const double real = a.is_integer() ? b.as_float() : a.as_float();
  const WideInt integer = a.is_integer() ? a.as_wide() : b.as_wide();
  return std::abs(real) < 0x1p126 && std::floor(real) == real &&
         static_cast<WideInt>(real) == integer;
}

std::uint64_t mix(std::uint64_t seed, std::uint64_t value) {
  const std::uint64_t product = (seed ^ value) * 0x9E3779B97F4A7C15u + (seed >> 29);
  return product ^ (product >> 32);
}

std::uint64_t hash_number(const Value& value) {
  if (value.is_integer()) {
    const WideInt wide = value.as_wide();
    return mix(static_cast<std::uint64_t>(wide), static_cast<std::uint64_t>(wide >> 64));
  }
  const double real = value.as_float();
  if (std::abs(real) < 0x1p126 && std::floor(real) == real) {
    const auto wide = static_cast<WideInt>(real);
    return mix(static_cast<std::uint64_t>(wide), static_cast<std::uint64_t>(wide >> 64));
  }
  std::uint64_t bits;
  std::memcpy(&bits, &real, sizeof bits);
  return mix(1, bits);
}

}  // namespace

Value Value::wide(Arena& arena, WideInt value) {
  if (value >= INT64_MIN && value <= INT64_MAX) return integer(static_cast<std::int64_t>(value));
  return pointer(Kind::kWideInt, arena.make<WideInt>(value));
}

WideInt Value::as_wide() const {
  if (kind_ == Kind::kInt) return int_;
  if (kind_ == Kind::kBool) return bool_ ? 1 : 0;
  return *static_cast<const WideInt*>(pointer_);
}

Extent Value::extent() const {
  switch (kind_) {
    case Kind::kList:
    case Kind::kTuple:
      return sequence().extent;
    case Kind::kDict:
      return dict().extent;
    case Kind::kDictView: {
      Extent around{1, 1};
      around.add(view().dict->extent);
      return around;
    }
    case Kind::kIterator:
      return iterator().items->extent;
    case Kind::kString:
      return {0, 1 + size_ / 64};
    default:
      return {};
  }
}

DictEntry* Dict::find_entry(const Value& key) const {
  if (!index) {
    for (std::uint32_t i = 0; i < size; ++i) {
      if (equal(entries[i].key, key)) return &entries[i];
    }
    return nullptr;
  }
  const std::uint32_t mask = index_size - 1;
  for (std::uint64_t slot = hash(key);; ++slot) {
    const std::uint32_t number = index[slot & mask];
    if (number == 0) return nullptr;
    if (equal(entries[number - 1].key, key)) return &entries[number - 1];
  }
}

const Value* Dict::find(const Value& key) const {
  const DictEntry* entry = find_entry(key);
  return entry ? &entry->value : nullptr;
}

const Value* Dict::find(std::string_view key) const { return find(Value::string(key)); }

void Dict::rebuild_index(Arena& arena) {
  index_size = 32;
  while (index_size < capacity * 2) index_size *= 2;
  index = arena.make_array<std::uint32_t>(index_size);
  std::memset(index, 0, index_size * sizeof(std::uint32_t));
  for (std::uint32_t i = 0; i < size; ++i) {
    std::uint64_t slot = hash(entries[i].key);
    while (index[slot & (index_size - 1)] != 0) ++slot;
    index[slot & (index_size - 1)] = i + 1;
  }
}

void Dict::set(Arena& arena, const Value& key, const Value& value) {
  extent.add(key.extent());
  extent.add(value.extent());
  if (DictEntry* entry = find_entry(key)) {
    entry->value = value;
    return;
  }
  const bool grown = size == capacity;
  if (grown) {
    capacity = capacity == 0 ? 4 : capacity * 2;
    auto* larger = arena.make_array<DictEntry>(capacity);
    if (size > 0) std::memcpy(static_cast<void*>(larger), entries, size * sizeof(DictEntry));
    entries = larger;
  }
  entries[size++] = {key, value};
  if (size <= kLinearSearchMax) return;
  if (grown || !index) return rebuild_index(arena);
  std::uint64_t slot = hash(key);
  while (index[slot & (index_size - 1)] != 0) ++slot;
  index[slot & (index_size - 1)] = size;
}

std::string_view type_name(Kind kind) {
  switch (kind) {
    case Kind::kMissing:
      return "missing";
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
    case Kind::kWideInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kDictView:
      return "dict_view";
    case Kind::kRange:
      return "range";
    case Kind::kIterator:
      return "generator";
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kFunction:
      return "function";
    case Kind::kMacro:
      return "Macro";
    case Kind::kLoop:
      return "LoopContext";
    case Kind::kCycler:
      return "Cycler";
    case Kind::kJoiner:
      return "Joiner";
  }
  return "object";
}

std::string_view type_name(const Value& value) {
  if (value.is_markup()) return "Markup";
  if (value.is(Kind::kIterator)) return value.iterator().type_name;
  if (value.is(Kind::kDictView)) {
    static constexpr std::array<std::string_view, 3> kNames = {"dict_keys", "dict_values",
                                                               "dict_items"};
    return kNames[static_cast<std::size_t>(value.view().what)];
  }
  return type_name(value.kind());
}

bool truth(const Value& value) {
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
      return value.as_bool();
    case Kind::kInt:
      return value.as_int() != 0;
    case Kind::kWideInt:
      return true;
    case Kind::kFloat:
      return value.as_float() != 0;
    case Kind::kString:
      return !value.text().empty();
    case Kind::kList:
    case Kind::kTuple:
      return value.sequence().size != 0;
    case Kind::kDict:
      return value.dict().size != 0;
    case Kind::kDictView:
      return value.view().dict->size != 0;
    case Kind::kRange:
      return value.range().size != 0;
    default:
      return true;
  }
}

bool equal(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return equal_numbers(a, b);
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      return a.text() == b.text();
    case Kind::kList:
    case Kind::kTuple:
      return equal_items(a.sequence().span(), b.sequence().span());
    case Kind::kDict:
      return equal_dicts(a.dict(), b.dict());
    case Kind::kRange:
      return equal_ranges(a.range(), b.range());
    case Kind::kFunction:
      return a.function().function == b.function().function &&
             equal(a.function().self, b.function().self);
    default:
      return a.identity() == b.identity();
  }
}

bool hashable(const Value& value) {
  switch (value.kind()) {
    case Kind::kList:
    case Kind::kDict:
    case Kind::kDictView:
      return false;
    case Kind::kTuple:
      for (const Value& item : value.sequence().span()) {
        if (!hashable(item)) return false;
      }
      return true;
    default:
      return true;
  }
}

std::uint64_t hash(const Value& value) {
  if (value.is_number()) return hash_number(value);
  switch (value.kind()) {
    case Kind::kString:
      return hash64(value.text());
    case Kind::kTuple: {
      std::uint64_t seed = value.sequence().size + 7;
      for (const Value& item : value.sequence().span()) seed = mix(seed, hash(item));
      return seed;
    }
    case Kind::kRange:
      return mix(3, static_cast<std::uint64_t>(value.range().size));
    case Kind::kMissing:
    case Kind::kUndefined:
    case Kind::kNone:
    case Kind::kFunction:
      return static_cast<std::uint64_t>(value.kind());
    default:
      return mix(5, reinterpret_cast<std::uintptr_t>(value.identity()));
  }
}

namespace {

std::string_view owner_name(Kind kind) { return kind == Kind::kNone ? "None" : type_name(kind); }

}  // namespace

Error undefined_error(const Value& value) {
  const std::string_view name = value.text();
  switch (value.because()) {
    case UndefinedBecause::kName:
      return {Code::kInvalidArgument, fmt::format("'{}' is undefined", name)};
    case UndefinedBecause::kAttribute:
      if (value.owner() == Kind::kNone) {
        return {Code::kInvalidArgument, fmt::format("'None' has no attribute '{}'", name)};
      }
      return {Code::kInvalidArgument,
              fmt::format("'{} object' has no attribute '{}'", owner_name(value.owner()), name)};
    case UndefinedBecause::kElement:
      return {Code::kInvalidArgument,
              fmt::format("{} object has no element {}", owner_name(value.owner()), name)};
    case UndefinedBecause::kUnsafe:
      return {Code::kInvalidArgument,
              fmt::format("access to attribute '{}' of '{}' object is unsafe", name,
                          owner_name(value.owner()))};
    case UndefinedBecause::kHint:
      return {Code::kInvalidArgument, std::string(name)};
  }
  return {Code::kInternal, "an undefined value without a reason"};
}

}  // namespace hearth::text::jinja
