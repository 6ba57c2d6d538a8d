// Filters on numbers.
#include <cmath>
#include <cstdlib>

#include <fmt/format.h>

#include "text/jinja/filters.h"
#include "text/jinja/format.h"
#include "text/jinja/operators.h"
#include "text/jinja/text_ops.h"

namespace hearth::text::jinja {

namespace {

using Args = std::span<const Value>;

Result<Value> absolute(Runtime& runtime, Args args) {
  if (args[0].is(Kind::kFloat)) return Value::real(std::abs(args[0].as_float()));
  if (!args[0].is_integer()) {
    return template_error(fmt::format("bad operand type for abs(): '{}'", type_name(args[0])));
  }
  const WideInt value = args[0].as_wide();
  return value < 0 ? negate(runtime, args[0]) : Value::wide(runtime.arena, value);
}

// int(real); missing for NaN, an error for what no integer of ours can hold.
Result<Value> truncate_to_integer(Runtime& runtime, double real) {
  if (std::isnan(real)) return Value::missing();
  if (std::abs(real) >= 0x1p126) return template_error("an integer outgrows 128 bits");
  return Value::wide(runtime.arena, static_cast<WideInt>(real));
}

// The integer that Python's int() makes of a text, or else of its float; missing for neither.
Result<Value> integer_of_text(Runtime& runtime, std::string_view text, unsigned base) {
  HEARTH_TRY(const std::optional<WideInt> parsed, parse_integer(text, base));
  if (parsed) return Value::wide(runtime.arena, *parsed);
  const std::optional<double> real = parse_float(text);
  if (!real || std::isinf(*real)) return Value::missing();
  return truncate_to_integer(runtime, *real);
}

Result<Value> to_integer(Runtime& runtime, Args args) {
  const Value fallback = args[1].is_missing() ? Value::integer(0) : args[1];
  std::int64_t base = 10;
  if (!args[2].is_missing()) {
    HEARTH_TRY(base, to_index(args[2], "int()'s base"));
  }
  Value result;
  if (args[0].is_undefined()) return std::unexpected(undefined_error(args[0]));
  if (args[0].is_integer()) {
    result = Value::wide(runtime.arena, args[0].as_wide());
  } else if (args[0].is(Kind::kFloat)) {
    HEARTH_TRY(result, truncate_to_integer(runtime, args[0].as_float()));
  } else if (args[0].is_string()) {
    HEARTH_TRY_VOID(runtime.charge_text(args[0].text().size()));
    const bool base_is_valid = base == 0 || (base >= 2 && base <= 36);
    HEARTH_TRY(result, integer_of_text(runtime, args[0].text(),
                                       base_is_valid ? static_cast<unsigned>(base) : 1));
  }
  return result.is_missing() ? fallback : result;
}

Result<Value> to_real(Runtime& runtime, Args args) {
  if (args[0].is_undefined()) return std::unexpected(undefined_error(args[0]));
  if (args[0].is(Kind::kFloat)) return args[0];
  if (args[0].is_integer()) return Value::real(static_cast<double>(args[0].as_wide()));
  if (args[0].is_string()) {
    HEARTH_TRY_VOID(runtime.charge_text(args[0].text().size()));
    if (const auto parsed = parse_float(args[0].text())) return Value::real(*parsed);
  }
  return args[1].is_missing() ? Value::real(0) : args[1];
}

// Rounds to a multiple of 10^n_zeros on the decimal digits, which a double has exactly.
double round_to_zeros(double real, std::size_t n_zeros) {
  std::string digits = float_digits(std::trunc(std::abs(real)), 'f', 0, false);
  if (digits.size() <= n_zeros) digits.insert(0, n_zeros + 1 - digits.size(), '0');
  std::string head = digits.substr(0, digits.size() - n_zeros);
  const std::string tail = digits.substr(head.size());
  const std::string half = "5" + std::string(n_zeros - 1, '0');
  const bool is_tie = tail == half && std::trunc(real) == real;
  const bool is_odd = (head.back() - '0') % 2 == 1;
  if (is_tie ? is_odd : tail >= half) {
    std::size_t i = head.size();
    while (i > 0 && head[i - 1] == '9') head[--i] = '0';
    if (i > 0) {
      ++head[i - 1];
    } else {
      head.insert(0, 1, '1');
    }
  }
  head.append(n_zeros, '0');
  return std::copysign(std::strtod(head.c_str(), nullptr), real);
}

// round(real, precision), half to even on the exact decimal value.
double round_real(double real, std::int64_t precision) {
  if (!std::isfinite(real) || precision > 323) return real;
  if (precision < -308) return 0 * real;
  if (precision < 0) return round_to_zeros(real, static_cast<std::size_t>(-precision));
  const std::string digits = float_digits(real, 'f', static_cast<int>(precision), false);
  return std::strtod(digits.c_str(), nullptr);
}

// Integers stay integers: only negative precisions change them.
Result<Value> round_integer(Runtime& runtime, WideInt value, std::int64_t precision) {
  if (precision >= 0) return Value::wide(runtime.arena, value);
  if (precision < -37) return Value::integer(0);
  WideInt scale = 1;
  for (std::int64_t i = 0; i < -precision; ++i) scale *= 10;
  WideInt quotient = value / scale;
  const WideInt rest = value - quotient * scale;
  const WideInt magnitude = rest < 0 ? -rest : rest;
  const WideInt half = scale / 2;
  if (magnitude > half || (magnitude == half && quotient % 2 != 0)) quotient += value < 0 ? -1 : 1;
  WideInt rounded;
  if (__builtin_mul_overflow(quotient, scale, &rounded)) {
    return template_error("an integer outgrows 128 bits");
  }
  return Value::wide(runtime.arena, rounded);
}

// method="ceil" or "floor": scaled with Python's arithmetic, so integers stay exact.
Result<Value> round_towards(Runtime& runtime, const Value& value, std::int64_t precision, bool up) {
  HEARTH_TRY(const Value scale,
             binary(runtime, BinaryOp::kPower, Value::integer(10), Value::integer(precision)));
  HEARTH_TRY(Value scaled, binary(runtime, BinaryOp::kMultiply, value, scale));
  if (scaled.is(Kind::kFloat)) {
    const double real = scaled.as_float();
    if (!std::isfinite(real)) return template_error("round() of what is not finite");
    HEARTH_TRY(scaled, truncate_to_integer(runtime, up ? std::ceil(real) : std::floor(real)));
  }
  return binary(runtime, BinaryOp::kDivide, scaled, scale);
}

Result<Value> round_value(Runtime& runtime, Args args) {
  std::int64_t precision = 0;
  if (!args[1].is_missing()) {
    HEARTH_TRY(precision, to_index(args[1], "round()'s precision"));
  }
  const std::string_view method = args[2].is_string() ? args[2].text() : "common";
  const bool is_common = method == "common";
  if (!is_common && method != "ceil" && method != "floor") {
    return template_error("round()'s method must be common, ceil or floor");
  }
  if (args[0].is_undefined()) return std::unexpected(undefined_error(args[0]));
  if (!args[0].is_number()) {
    return template_error(fmt::format("round() takes a number, not '{}'", type_name(args[0])));
  }
  if (!is_common) return round_towards(runtime, args[0], precision, method == "ceil");
  if (args[0].is_integer()) return round_integer(runtime, args[0].as_wide(), precision);
  return Value::real(round_real(args[0].as_float(), precision));
}

Result<Value> file_size(Runtime& runtime, Args args) {
  const Value no_fallback[] = {args[0], Value::none()};
  HEARTH_TRY(const Value size, to_real(runtime, no_fallback));
  if (!size.is(Kind::kFloat)) return template_error("filesizeformat takes a number");
  const double bytes = size.as_float();
  const bool is_binary = truth(args[1]);
  const double base = is_binary ? 1024 : 1000;
  if (bytes == 1) return Value::string("1 Byte");
  if (bytes < base) {
    return runtime.string(fmt::format("{} Bytes", static_cast<std::int64_t>(bytes)));
  }
  static constexpr std::string_view kPrefixes = "kMGTPEZY";
  double unit = base;
  std::size_t i = 0;
  while (i + 1 < kPrefixes.size() && bytes >= unit * base) {
    unit *= base;
    ++i;
  }
  const std::string prefix = is_binary ? (i == 0 ? "K" : std::string(1, kPrefixes[i])) + "i"
                                       : std::string(1, kPrefixes[i]);
  return runtime.string(fmt::format("{:.1f} {}B", bytes / unit, prefix));
}

constexpr FunctionSpec kNumberFilters[] = {
    {"abs", "", absolute},
    {"filesizeformat", "[binary]", file_size},
    {"float", "[default]", to_real},
    {"int", "[default] [base]", to_integer},
    {"round", "[precision] [method]", round_value},
};

}  // namespace

std::span<const FunctionSpec> number_filters() { return kNumberFilters; }

}  // namespace hearth::text::jinja
