// See operators.h.  This file: arithmetic and order.  Subscripts, membership and iteration
// are in access.cpp.
#include "text/jinja/operators.h"

#include <array>
#include <cmath>

#include <fmt/format.h>

#include "text/jinja/format.h"
#include "text/jinja/print.h"
#include "text/jinja/unicode.h"

namespace hearth::text::jinja {

namespace {

constexpr std::array<std::string_view, 7> kOpSigns = {"+", "-", "*", "/", "//", "%", "**"};

std::unexpected<Error> type_error(BinaryOp op, const Value& left, const Value& right) {
  if (left.is_undefined()) return std::unexpected(undefined_error(left));
  if (right.is_undefined()) return std::unexpected(undefined_error(right));
  return template_error(fmt::format("unsupported operand types for {}: '{}' and '{}'",
                                    kOpSigns[static_cast<std::size_t>(op)], type_name(left),
                                    type_name(right)));
}

std::unexpected<Error> overflow() { return template_error("an integer outgrows 128 bits"); }

std::unexpected<Error> division_by_zero() { return template_error("division by zero"); }

double to_double(const Value& value) {
  return value.is_integer() ? static_cast<double>(value.as_wide()) : value.as_float();
}

bool both_integers(const Value& a, const Value& b) { return a.is_integer() && b.is_integer(); }
bool both_numbers(const Value& a, const Value& b) { return a.is_number() && b.is_number(); }

// --- Each operator ---------------------------------------------------------------------------

Result<Value> add_texts(Runtime& runtime, const Value& left, const Value& right) {
  HEARTH_TRY_VOID(runtime.reserve(1, left.text().size() + right.text().size()));
  HEARTH_TRY_VOID(runtime.charge_text(right.text().size()));
  if (left.is_markup() == right.is_markup()) {
    return Value::string(runtime.arena.append(left.text(), right.text()), left.is_markup());
  }
  // Markup escapes what it is joined with.
  HEARTH_TRY(const Value safe_left, escape_html(runtime, left));
  HEARTH_TRY(const Value safe_right, escape_html(runtime, right));
  return Value::string(runtime.arena.append(safe_left.text(), safe_right.text()), true);
}

Result<Value> add_sequences(Runtime& runtime, const Value& left, const Value& right) {
  const auto a = left.sequence().span(), b = right.sequence().span();
  HEARTH_TRY_VOID(runtime.reserve_items(a.size() + b.size()));
  HEARTH_TRY_VOID(runtime.charge((a.size() + b.size()) / 8));
  std::vector<Value> items(a.begin(), a.end());
  items.insert(items.end(), b.begin(), b.end());
  return left.is(Kind::kList) ? runtime.list(items) : runtime.tuple(items);
}

Result<Value> add(Runtime& runtime, const Value& left, const Value& right) {
  if (both_integers(left, right)) {
    WideInt sum;
    if (__builtin_add_overflow(left.as_wide(), right.as_wide(), &sum)) return overflow();
    return Value::wide(runtime.arena, sum);
  }
  if (both_numbers(left, right)) return Value::real(to_double(left) + to_double(right));
  if (left.is_string() && right.is_string()) return add_texts(runtime, left, right);
  if (left.is_sequence() && left.kind() == right.kind()) {
    return add_sequences(runtime, left, right);
  }
  return type_error(BinaryOp::kAdd, left, right);
}

Result<Value> subtract(Runtime& runtime, const Value& left, const Value& right) {
  if (both_integers(left, right)) {
    WideInt difference;
    if (__builtin_sub_overflow(left.as_wide(), right.as_wide(), &difference)) return overflow();
    return Value::wide(runtime.arena, difference);
  }
  if (both_numbers(left, right)) return Value::real(to_double(left) - to_double(right));
  return type_error(BinaryOp::kSubtract, left, right);
}

Result<Value> repeat(Runtime& runtime, const Value& what, const Value& times) {
  const WideInt wide = times.as_wide();
  const bool is_text = what.is_string();
  const std::size_t size = is_text ? what.text().size() : what.sequence().size;
  const std::uint64_t count =
      wide <= 0 || size == 0 ? 0 : static_cast<std::uint64_t>(std::min<WideInt>(wide, INT64_MAX));
  HEARTH_TRY_VOID(runtime.reserve(count, size));
  if (!is_text) HEARTH_TRY_VOID(runtime.reserve_items(count * size));
  HEARTH_TRY_VOID(runtime.charge(count * size / 64));
  if (is_text) {
    TextBuilder out(runtime);
    out.add_times(what.text(), count);
    return out.finish(what.is_markup());
  }
  std::vector<Value> items;
  items.reserve(count * size);
  const auto once = what.sequence().span();
  for (std::uint64_t i = 0; i < count; ++i) items.insert(items.end(), once.begin(), once.end());
  return what.is(Kind::kList) ? runtime.list(items) : runtime.tuple(items);
}

Result<Value> multiply(Runtime& runtime, const Value& left, const Value& right) {
  if (both_integers(left, right)) {
    WideInt product;
    if (__builtin_mul_overflow(left.as_wide(), right.as_wide(), &product)) return overflow();
    return Value::wide(runtime.arena, product);
  }
  if (both_numbers(left, right)) return Value::real(to_double(left) * to_double(right));
  const bool left_repeats = left.is_string() || left.is_sequence();
  if (left_repeats && right.is_integer()) return repeat(runtime, left, right);
  const bool right_repeats = right.is_string() || right.is_sequence();
  if (right_repeats && left.is_integer()) return repeat(runtime, right, left);
  return type_error(BinaryOp::kMultiply, left, right);
}

Result<Value> divide(Runtime&, const Value& left, const Value& right) {
  if (!both_numbers(left, right)) return type_error(BinaryOp::kDivide, left, right);
  const double divisor = to_double(right);
  if (divisor == 0) return division_by_zero();
  return Value::real(to_double(left) / divisor);
}

// Python rounds quotients down, and remainders take the divisor's sign.
struct Division {
  WideInt quotient, remainder;
};

Result<Division> floor_division(WideInt left, WideInt right) {
  if (right == 0) return division_by_zero();
  if (right == -1) {
    WideInt negated;
    if (__builtin_sub_overflow(WideInt{0}, left, &negated)) return overflow();
    return Division{negated, 0};
  }
  Division result{left / right, left % right};
  if (result.remainder != 0 && (result.remainder < 0) != (right < 0)) {
    result.quotient -= 1;
    result.remainder += right;
  }
  return result;
}

double float_modulo(double left, double right) {
  double remainder = std::fmod(left, right);
  if (remainder == 0) return std::copysign(0.0, right);
  if ((remainder < 0) != (right < 0)) remainder += right;
  return remainder;
}

// As CPython: exact where the quotient is, never off by one from rounding.
double float_floor_division(double left, double right) {
  double remainder = std::fmod(left, right);
  double quotient = (left - remainder) / right;
  if (remainder != 0 && (remainder < 0) != (right < 0)) quotient -= 1;
  if (quotient == 0) return std::copysign(0.0, left / right);
  double floored = std::floor(quotient);
  if (quotient - floored > 0.5) floored += 1;
  return floored;
}

Result<Value> floor_divide(Runtime& runtime, const Value& left, const Value& right) {
  if (both_integers(left, right)) {
    HEARTH_TRY(const Division result, floor_division(left.as_wide(), right.as_wide()));
    return Value::wide(runtime.arena, result.quotient);
  }
  if (!both_numbers(left, right)) return type_error(BinaryOp::kFloorDivide, left, right);
  if (to_double(right) == 0) return division_by_zero();
  return Value::real(float_floor_division(to_double(left), to_double(right)));
}

Result<Value> modulo(Runtime& runtime, const Value& left, const Value& right) {
  if (left.is_string()) return percent_format(runtime, left, right);
  if (both_integers(left, right)) {
    HEARTH_TRY(const Division result, floor_division(left.as_wide(), right.as_wide()));
    return Value::wide(runtime.arena, result.remainder);
  }
  if (!both_numbers(left, right)) return type_error(BinaryOp::kModulo, left, right);
  if (to_double(right) == 0) return division_by_zero();
  return Value::real(float_modulo(to_double(left), to_double(right)));
}

Result<Value> integer_power(Runtime& runtime, WideInt base, WideInt exponent) {
  WideInt result = 1;
  while (exponent > 0) {
    if ((exponent & 1) && __builtin_mul_overflow(result, base, &result)) return overflow();
    exponent >>= 1;
    const bool unit = base == 0 || base == 1;
    if (exponent > 0 && !unit && __builtin_mul_overflow(base, base, &base)) return overflow();
  }
  return Value::wide(runtime.arena, result);
}

Result<Value> power(Runtime& runtime, const Value& left, const Value& right) {
  if (!both_numbers(left, right)) return type_error(BinaryOp::kPower, left, right);
  if (both_integers(left, right) && right.as_wide() >= 0) {
    return integer_power(runtime, left.as_wide(), right.as_wide());
  }
  const double base = to_double(left), exponent = to_double(right);
  if (base == 0 && exponent < 0) return division_by_zero();
  if (base < 0 && std::isfinite(base) && std::isfinite(exponent) &&
      std::floor(exponent) != exponent) {
    return template_error("a negative number to a fractional power is complex");
  }
  const double result = std::pow(base, exponent);
  if (std::isinf(result) && std::isfinite(base) && std::isfinite(exponent)) {
    return template_error("a power is too large for a float");
  }
  return Value::real(result);
}

using Operator = Result<Value> (*)(Runtime&, const Value&, const Value&);

constexpr std::array<Operator, 7> kOperators = {add,          subtract, multiply, divide,
                                                floor_divide, modulo,   power};

// --- Order -------------------------------------------------------------------------------------

template <class T>
Order order_of(const T& left, const T& right) {
  if (left < right) return Order::kLess;
  return right < left ? Order::kGreater : Order::kEqual;
}

Order order_mixed(WideInt integer, double real) {
  if (std::isnan(real)) return Order::kUnordered;
  if (std::abs(real) >= 0x1p126) return real > 0 ? Order::kLess : Order::kGreater;
  const double floored = std::floor(real);
  const auto whole = static_cast<WideInt>(floored);
  if (integer != whole) return order_of(integer, whole);
  return real > floored ? Order::kLess : Order::kEqual;
}

Order reversed(Order o) {
  if (o == Order::kLess) return Order::kGreater;
  return o == Order::kGreater ? Order::kLess : o;
}

Order order_numbers(const Value& left, const Value& right) {
  if (both_integers(left, right)) return order_of(left.as_wide(), right.as_wide());
  if (left.is_integer()) return order_mixed(left.as_wide(), right.as_float());
  if (right.is_integer()) return reversed(order_mixed(right.as_wide(), left.as_float()));
  if (std::isnan(left.as_float()) || std::isnan(right.as_float())) return Order::kUnordered;
  return order_of(left.as_float(), right.as_float());
}

Result<Order> order_sequences(const Sequence& left, const Sequence& right) {
  const std::uint32_t shared = std::min(left.size, right.size);
  for (std::uint32_t i = 0; i < shared; ++i) {
    if (!equal(left.items[i], right.items[i])) return order(left.items[i], right.items[i]);
  }
  return order_of(left.size, right.size);
}

}  // namespace

Result<Value> binary(Runtime& runtime, BinaryOp op, const Value& left, const Value& right) {
  return kOperators[static_cast<std::size_t>(op)](runtime, left, right);
}

Result<Value> negate(Runtime& runtime, const Value& value) {
  if (value.is(Kind::kFloat)) return Value::real(-value.as_float());
  if (value.is_undefined()) return std::unexpected(undefined_error(value));
  if (!value.is_integer()) {
    return template_error(fmt::format("bad operand type for unary -: '{}'", type_name(value)));
  }
  return subtract(runtime, Value::integer(0), value);
}

Result<Value> affirm(Runtime& runtime, const Value& value) {
  if (value.is(Kind::kFloat)) return value;
  if (value.is_undefined()) return std::unexpected(undefined_error(value));
  if (!value.is_integer()) {
    return template_error(fmt::format("bad operand type for unary +: '{}'", type_name(value)));
  }
  return Value::wide(runtime.arena, value.as_wide());
}

Result<Order> order(const Value& left, const Value& right) {
  if (both_numbers(left, right)) return order_numbers(left, right);
  if (left.is_string() && right.is_string()) {
    // The byte order of UTF-8 is the order of its code points.
    return order_of(left.text(), right.text());
  }
  if (left.is_sequence() && left.kind() == right.kind()) {
    return order_sequences(left.sequence(), right.sequence());
  }
  if (left.is_undefined()) return std::unexpected(undefined_error(left));
  if (right.is_undefined()) return std::unexpected(undefined_error(right));
  return template_error(
      fmt::format("'{}' and '{}' have no order", type_name(left), type_name(right)));
}

Result<bool> less(const Value& left, const Value& right) {
  HEARTH_TRY(const Order found, order(left, right));
  return found == Order::kLess;
}

}  // namespace hearth::text::jinja
