// What expressions do with values: arithmetic, comparison, membership, subscripts, iteration.
// Python's rules throughout; where Python raises, an error says what Python would.
#pragma once

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace hearth::text::jinja {

enum class BinaryOp : std::uint8_t {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
};

// One row per BinaryOp, in its order.  Also text formatting, for `%` on text.
Result<Value> binary(Runtime& runtime, BinaryOp op, const Value& left, const Value& right);
Result<Value> negate(Runtime& runtime, const Value& value);
// Unary plus.
Result<Value> affirm(Runtime& runtime, const Value& value);

enum class Order : std::uint8_t { kLess, kEqual, kGreater, kUnordered };

// Orders numbers, texts, lists and tuples; kInvalidArgument for other pairs.  kUnordered where
// a NaN is involved.
Result<Order> order(const Value& left, const Value& right);
Result<bool> less(const Value& left, const Value& right);

// `item in container`.
Result<bool> contains(Runtime& runtime, const Value& container, const Value& item);

// `object.name`: an attribute or method first, then an item.  Undefined where there is neither.
Result<Value> get_attribute(Runtime& runtime, const Value& object, std::string_view name);
// `object|attr(name)`: an attribute or method, but no item.
Result<Value> get_own_attribute(Runtime& runtime, const Value& object, std::string_view name);
// `object[key]`: an item first, then an attribute.
Result<Value> get_item(Runtime& runtime, const Value& object, const Value& key);
// `object[start:stop:step]`; none or missing for what is left out.
Result<Value> get_slice(Runtime& runtime, const Value& object, const Value& start,
                        const Value& stop, const Value& step);

// len(value).
Result<std::int64_t> length(const Value& value);

// Walks a value as `for` does.
class Iteration {
 public:
  // kInvalidArgument for what can't be iterated.
  static Result<Iteration> over(const Value& source);

  // False at the end.
  bool next(Runtime& runtime, Value& out);
  // Items that are left, if that is known without walking.
  std::optional<std::int64_t> remaining() const;

 private:
  explicit Iteration(const Value& source) : source_(source) {}

  Value source_;
  std::size_t position_ = 0;  // A byte offset for text.
};

bool is_iterable(const Value& value);

// list(value), as a vector.
Result<std::vector<Value>> collect(Runtime& runtime, const Value& value);

// An argument as a 64-bit integer (bool counts); kInvalidArgument names `what`.
Result<std::int64_t> to_index(const Value& value, std::string_view what);

// Stable sort by the key that `key_of` gives for an element, as Python's sorted.
template <class T, class KeyOf>
Result<> sort_by(Runtime& runtime, std::vector<T>& items, KeyOf&& key_of, bool reverse = false) {
  // Merging by hand: std::stable_sort may not see a comparison that fails.
  std::vector<T> scratch(items.size());
  for (std::size_t width = 1; width < items.size(); width *= 2) {
    HEARTH_TRY_VOID(runtime.charge(items.size()));
    for (std::size_t begin = 0; begin < items.size(); begin += 2 * width) {
      const std::size_t middle = std::min(begin + width, items.size());
      const std::size_t end = std::min(begin + 2 * width, items.size());
      std::size_t left = begin, right = middle;
      for (std::size_t out = begin; out < end; ++out) {
        bool take_right = left == middle;
        if (left < middle && right < end) {
          const Value left_key = key_of(items[left]), right_key = key_of(items[right]);
          HEARTH_TRY_VOID(runtime.charge_walk(left_key));
          HEARTH_TRY(take_right, reverse ? less(left_key, right_key) : less(right_key, left_key));
        }
        scratch[out] = take_right ? items[right++] : items[left++];
      }
    }
    items.swap(scratch);
  }
  return {};
}

}  // namespace hearth::text::jinja
