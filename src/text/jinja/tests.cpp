// The tests behind `is`.
#include <fmt/format.h>

#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/runtime.h"

namespace hearth::text::jinja {

namespace {

using Args = std::span<const Value>;

template <bool (*kHolds)(const Value&)>
Result<Value> ask(Runtime&, Args args) {
  return Value::boolean(kHolds(args[0]));
}

bool is_defined(const Value& v) { return !v.is_undefined(); }
bool is_undefined(const Value& v) { return v.is_undefined(); }
bool is_none(const Value& v) { return v.is_none(); }
bool is_boolean(const Value& v) { return v.is(Kind::kBool); }
bool is_true(const Value& v) { return v.is(Kind::kBool) && v.as_bool(); }
bool is_false(const Value& v) { return v.is(Kind::kBool) && !v.as_bool(); }
bool is_integer(const Value& v) { return v.is_integer() && !v.is(Kind::kBool); }
bool is_float(const Value& v) { return v.is(Kind::kFloat); }
bool is_number(const Value& v) { return v.is_number(); }
bool is_string(const Value& v) { return v.is_string(); }
bool is_mapping(const Value& v) { return v.is(Kind::kDict); }
bool is_escaped(const Value& v) { return v.is_markup(); }

// What has a length and can be subscripted.
bool is_sequence(const Value& v) {
  return v.is_sequence() || v.is_string() || v.is(Kind::kDict) || v.is(Kind::kRange) ||
         v.is_undefined();
}

bool is_callable(const Value& v) {
  switch (v.kind()) {
    case Kind::kFunction:
    case Kind::kMacro:
    case Kind::kLoop:
    case Kind::kJoiner:
    case Kind::kUndefined:
      return true;
    default:
      return false;
  }
}

Result<Value> remainder_is(Runtime& runtime, const Value& value, const Value& divisor,
                           std::int64_t wanted) {
  HEARTH_TRY(const Value rest, binary(runtime, BinaryOp::kModulo, value, divisor));
  return Value::boolean(equal(rest, Value::integer(wanted)));
}

Result<Value> is_odd(Runtime& runtime, Args args) {
  return remainder_is(runtime, args[0], Value::integer(2), 1);
}
Result<Value> is_even(Runtime& runtime, Args args) {
  return remainder_is(runtime, args[0], Value::integer(2), 0);
}
Result<Value> is_divisible(Runtime& runtime, Args args) {
  return remainder_is(runtime, args[0], args[1], 0);
}

// "lower" and "upper" ask the methods islower and isupper.
template <bool kUpperCase>
Result<Value> is_cased(Runtime& runtime, Args args) {
  static const NativeFunction* const method =
      method_table(Kind::kString)->find(kUpperCase ? "isupper" : "islower");
  HEARTH_TRY(const Value text, to_str(runtime, args[0]));
  return invoke(runtime, *method, text, {});
}

template <const FunctionTable& (*kTable)()>
Result<Value> is_name_in(Runtime&, Args args) {
  if (!hashable(args[0])) {
    return template_error(fmt::format("unhashable type: '{}'", type_name(args[0])));
  }
  return Value::boolean(args[0].is_string() && kTable().find(args[0].text()));
}

// Python's `is`: the same object.  Small values have no identity of their own here, so equal
// ones of the same kind count as the same.
Result<Value> is_same(Runtime& runtime, Args args) {
  HEARTH_TRY_VOID(runtime.charge_walk(args[0]));
  if (args[0].kind() != args[1].kind()) return Value::boolean(false);
  switch (args[0].kind()) {
    case Kind::kNone:
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kFloat:
    case Kind::kString:
      return Value::boolean(equal(args[0], args[1]));
    default:
      return Value::boolean(args[0].identity() == args[1].identity());
  }
}

Result<Value> is_in(Runtime& runtime, Args args) {
  HEARTH_TRY(const bool found, contains(runtime, args[1], args[0]));
  return Value::boolean(found);
}

Result<Value> is_equal(Runtime& runtime, Args args) {
  HEARTH_TRY_VOID(runtime.charge_walk(args[0]));
  return Value::boolean(equal(args[0], args[1]));
}
Result<Value> is_not_equal(Runtime& runtime, Args args) {
  HEARTH_TRY_VOID(runtime.charge_walk(args[0]));
  return Value::boolean(!equal(args[0], args[1]));
}

// `kOrEqual` widens a strict comparison.
template <Order kWanted, bool kOrEqual>
Result<Value> is_ordered(Runtime& runtime, Args args) {
  HEARTH_TRY_VOID(runtime.charge_walk(args[0]));
  HEARTH_TRY(const Order found, order(args[0], args[1]));
  return Value::boolean(found == kWanted || (kOrEqual && found == Order::kEqual));
}

constexpr FunctionSpec kTests[] = {
    {"!=", "other", is_not_equal},
    {"<", "other", is_ordered<Order::kLess, false>},
    {"<=", "other", is_ordered<Order::kLess, true>},
    {"==", "other", is_equal},
    {">", "other", is_ordered<Order::kGreater, false>},
    {">=", "other", is_ordered<Order::kGreater, true>},
    {"boolean", "", ask<is_boolean>},
    {"callable", "", ask<is_callable>},
    {"defined", "", ask<is_defined>},
    {"divisibleby", "num", is_divisible},
    {"eq", "other", is_equal},
    {"equalto", "other", is_equal},
    {"escaped", "", ask<is_escaped>},
    {"even", "", is_even},
    {"false", "", ask<is_false>},
    {"filter", "", is_name_in<filter_table>},
    {"float", "", ask<is_float>},
    {"ge", "other", is_ordered<Order::kGreater, true>},
    {"greaterthan", "other", is_ordered<Order::kGreater, false>},
    {"gt", "other", is_ordered<Order::kGreater, false>},
    {"in", "seq", is_in},
    {"integer", "", ask<is_integer>},
    {"iterable", "", ask<is_iterable>},
    {"le", "other", is_ordered<Order::kLess, true>},
    {"lessthan", "other", is_ordered<Order::kLess, false>},
    {"lower", "", is_cased<false>},
    {"lt", "other", is_ordered<Order::kLess, false>},
    {"mapping", "", ask<is_mapping>},
    {"ne", "other", is_not_equal},
    {"none", "", ask<is_none>},
    {"number", "", ask<is_number>},
    {"odd", "", is_odd},
    {"sameas", "other", is_same},
    {"sequence", "", ask<is_sequence>},
    {"string", "", ask<is_string>},
    {"test", "", is_name_in<test_table>},
    {"true", "", ask<is_true>},
    {"undefined", "", ask<is_undefined>},
    {"upper", "", is_cased<true>},
};

}  // namespace

const FunctionTable& test_table() {
  static const FunctionTable table({kTests});
  return table;
}

}  // namespace hearth::text::jinja
