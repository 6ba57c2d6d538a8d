// The format mini-language: [[fill]align][sign][#][0][width][grouping][.precision][type].
// https://docs.python.org/3/library/string.html#format-specification-mini-language
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>

#include "base/utf8.h"
#include "text/jinja/format.h"
#include "text/jinja/print.h"
#include "text/jinja/unicode.h"

namespace hearth::text::jinja {

std::string pad(std::string_view text, std::int64_t width, char align, std::string_view fill) {
  const auto count = static_cast<std::int64_t>(char_count(text));
  const std::int64_t missing = std::max<std::int64_t>(0, width - count);
  std::int64_t before = 0;
  if (align == '>') before = missing;
  if (align == '^') before = missing / 2;
  std::string out;
  out.reserve(text.size() + static_cast<std::size_t>(missing) * fill.size());
  for (std::int64_t i = 0; i < before; ++i) out += fill;
  out += text;
  for (std::int64_t i = before; i < missing; ++i) out += fill;
  return out;
}

std::string float_digits(double value, char type, int precision, bool alternate) {
  const bool upper = type == 'E' || type == 'F' || type == 'G';
  if (std::isnan(value)) return upper ? "NAN" : "nan";
  if (std::isinf(value)) return std::string(value < 0 ? "-" : "") + (upper ? "INF" : "inf");
  const std::string pattern = std::string(alternate ? "%#.*" : "%.*") + type;
  const int size = std::snprintf(nullptr, 0, pattern.c_str(), precision, value);
  std::string out(static_cast<std::size_t>(size), '\0');
  std::snprintf(out.data(), out.size() + 1, pattern.c_str(), precision, value);
  return out;
}

std::string integer_digits(unsigned __int128 magnitude, unsigned base) {
  std::string digits;
  do {
    digits.push_back("0123456789abcdef"[static_cast<unsigned>(magnitude % base)]);
    magnitude /= base;
  } while (magnitude > 0);
  return {digits.rbegin(), digits.rend()};
}

namespace {

struct Spec {
  std::string_view fill = " ";
  char align = 0;  // One of < > ^ =, or 0 for the type's own.
  char sign = 0;   // One of + - and blank, or 0 for none given.
  bool alternate = false;
  int width = 0;
  char grouping = 0;
  int precision = -1;
  char type = 0;
};

bool is_align(char c) { return c == '<' || c == '>' || c == '^' || c == '='; }

Result<int> read_number(std::string_view& text, int limit) {
  int number = 0;
  while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
    number = number * 10 + (text.front() - '0');
    if (number > limit) {
      return template_error(fmt::format("a format's width or precision exceeds {}", limit));
    }
    text.remove_prefix(1);
  }
  return number;
}

bool take(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

void read_fill_and_align(std::string_view& text, Spec& spec) {
  if (text.empty()) return;
  const std::string_view first = char_at(text, 0);
  if (first.size() < text.size() && is_align(text[first.size()])) {
    spec.fill = first;
    spec.align = text[first.size()];
    text.remove_prefix(first.size() + 1);
  } else if (is_align(text.front())) {
    spec.align = text.front();
    text.remove_prefix(1);
  }
}

Result<Spec> parse_spec(std::string_view text, bool is_text) {
  Spec spec;
  read_fill_and_align(text, spec);
  if (!text.empty() && (text.front() == '+' || text.front() == '-' || text.front() == ' ')) {
    spec.sign = text.front();
    text.remove_prefix(1);
    if (is_text) return template_error("Sign not allowed in string format specifier");
  }
  spec.alternate = take(text, '#');
  if (spec.fill == " " && take(text, '0')) {
    spec.fill = "0";
    if (spec.align == 0 && !is_text) spec.align = '=';
  }
  HEARTH_TRY(spec.width, read_number(text, kFormatWidthMax));
  if (!text.empty() && (text.front() == ',' || text.front() == '_')) {
    spec.grouping = text.front();
    text.remove_prefix(1);
  }
  if (take(text, '.')) {
    if (text.empty() || text.front() < '0' || text.front() > '9') {
      return template_error("Format specifier missing precision");
    }
    HEARTH_TRY(spec.precision, read_number(text, is_text ? kFormatWidthMax : kFormatPrecisionMax));
  }
  if (text.size() > 1) return template_error("Invalid format specifier");
  if (!text.empty()) spec.type = text.front();
  const std::string_view ungrouped = spec.grouping == ',' ? "nboxXcs" : "ncs";
  if (spec.grouping && spec.type && ungrouped.find(spec.type) != std::string_view::npos) {
    return template_error(fmt::format("Cannot specify '{}' with '{}'", spec.grouping, spec.type));
  }
  return spec;
}

std::string group_digits(std::string_view digits, char separator, std::size_t every) {
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % every == 0) out += separator;
    out += digits[i];
  }
  return out;
}

// A number in the pieces that padding and grouping treat differently.
struct NumberText {
  std::string sign;    // With a prefix such as 0x.
  std::string digits;  // The whole part: what is grouped.
  std::string rest;    // Point, fraction, exponent, percent sign.
};

std::string lay_out_number(const Spec& spec, NumberText number, std::size_t group_size) {
  const auto width = static_cast<std::size_t>(spec.width);
  const std::size_t around = number.sign.size() + number.rest.size();
  std::string digits =
      spec.grouping ? group_digits(number.digits, spec.grouping, group_size) : number.digits;
  if (spec.fill == "0" && spec.align == '=') {
    // Zeros are digits: they are grouped with the others.
    while (around + digits.size() < width) {
      number.digits.insert(0, 1, '0');
      digits = spec.grouping ? group_digits(number.digits, spec.grouping, group_size)
                             : std::string(width - around - digits.size(), '0') + digits;
    }
    return number.sign + digits + number.rest;
  }
  if (spec.align == '=') {
    const auto inner =
        static_cast<std::int64_t>(spec.width) - static_cast<std::int64_t>(number.sign.size());
    return number.sign + pad(digits + number.rest, inner, '>', spec.fill);
  }
  return pad(number.sign + digits + number.rest, spec.width, spec.align ? spec.align : '>',
             spec.fill);
}

std::string sign_text(bool negative, char sign) {
  if (negative) return "-";
  return sign == 0 || sign == '-' ? "" : std::string(1, sign);
}

Result<std::string> unknown_type(char type, const Value& value) {
  return template_error(
      fmt::format("Unknown format code '{}' for object of type '{}'", type, type_name(value)));
}

// A float without a type: as short as repr, or `precision` significant digits, and always
// with a fraction.
std::string general_digits(double value, int precision, bool alternate) {
  if (!std::isfinite(value)) return float_digits(value, 'g', 6, false);
  if (precision < 0) return float_text(value);
  precision = std::max(precision, 1);
  const std::string scientific = float_digits(value, 'e', precision - 1, alternate);
  const std::size_t e = scientific.find('e');
  const int exponent = exponent_of(scientific);
  const bool is_scientific = exponent < -4 || exponent >= precision - 1;
  std::string mantissa =
      is_scientific ? scientific.substr(0, e)
                    : float_digits(value, 'f', std::max(0, precision - 1 - exponent), false);
  if (!alternate && mantissa.find('.') != std::string::npos) {
    while (mantissa.back() == '0') mantissa.pop_back();
    if (mantissa.back() == '.') mantissa.pop_back();
  }
  if (is_scientific) return mantissa + scientific.substr(e);
  if (mantissa.find('.') == std::string::npos) mantissa += ".0";
  return mantissa;
}

Result<std::string> format_float(const Value& original, double value, const Spec& spec) {
  static constexpr std::string_view kTypes = "eEfFgGn%";
  if (spec.type != 0 && kTypes.find(spec.type) == std::string_view::npos) {
    return unknown_type(spec.type, original);
  }
  const int precision = spec.precision < 0 ? 6 : spec.precision;
  std::string text;
  if (spec.type == 0) {
    text = general_digits(value, spec.precision, spec.alternate);
  } else if (spec.type == '%') {
    text = float_digits(value * 100, 'f', precision, spec.alternate) + "%";
  } else {
    const char type = spec.type == 'n' ? 'g' : spec.type;
    text = float_digits(value, type, precision, spec.alternate);
  }
  NumberText number;
  const bool negative = text.front() == '-';
  if (negative) text.erase(0, 1);
  number.sign = sign_text(negative, spec.sign);
  std::size_t end = 0;
  while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
  number.digits = text.substr(0, end);
  number.rest = text.substr(end);
  return lay_out_number(spec, std::move(number), 3);
}

struct IntegerType {
  char type;
  unsigned base;
  std::string_view prefix;
  std::size_t group_size;
};

constexpr IntegerType kIntegerTypes[] = {{'d', 10, "", 3},  {'n', 10, "", 3},   {'b', 2, "0b", 4},
                                         {'o', 8, "0o", 4}, {'x', 16, "0x", 4}, {'X', 16, "0X", 4}};

Result<std::string> format_integer(const Value& value, const Spec& spec) {
  if (spec.type != 0 && std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos) {
    return format_float(value, static_cast<double>(value.as_wide()), spec);
  }
  if (spec.precision >= 0) {
    return template_error("Precision not allowed in integer format specifier");
  }
  const WideInt wide = value.as_wide();
  if (spec.type == 'c') {
    if (spec.sign || spec.alternate) return template_error("sign or '#' with format code 'c'");
    if (wide < 0 || wide > 0x10FFFF) return template_error("%c arg not in range(0x110000)");
    std::string one;
    append_utf8(one, static_cast<char32_t>(wide));
    return pad(one, spec.width, spec.align ? spec.align : '<', spec.fill);
  }
  const char wanted = spec.type == 0 ? 'd' : spec.type;
  const auto* type = std::find_if(std::begin(kIntegerTypes), std::end(kIntegerTypes),
                                  [&](const IntegerType& row) { return row.type == wanted; });
  if (type == std::end(kIntegerTypes)) return unknown_type(spec.type, value);
  const auto magnitude =
      wide < 0 ? ~static_cast<unsigned __int128>(wide) + 1 : static_cast<unsigned __int128>(wide);
  NumberText number;
  number.sign = sign_text(wide < 0, spec.sign);
  if (spec.alternate) number.sign += type->prefix;
  number.digits = integer_digits(magnitude, type->base);
  if (wanted == 'X') number.digits = to_upper(number.digits);
  return lay_out_number(spec, std::move(number), type->group_size);
}

Result<std::string> format_text(std::string_view text, const Spec& spec, const Value& value) {
  if (spec.type != 0 && spec.type != 's') return unknown_type(spec.type, value);
  if (spec.align == '=' || spec.alternate || spec.grouping) {
    return template_error("'=', '#', ',' and '_' are not allowed in a string format specifier");
  }
  if (spec.precision >= 0) {
    text = text.substr(0, byte_offset(text, static_cast<std::size_t>(spec.precision)));
  }
  return pad(text, spec.width, spec.align ? spec.align : '<', spec.fill);
}

}  // namespace

Result<std::string> format_value(Runtime& runtime, const Value& value, std::string_view spec) {
  if (spec.empty()) {
    HEARTH_TRY(const Value plain, to_str(runtime, value));
    return std::string(plain.text());
  }
  if (!value.is_string() && !value.is_number()) {
    return template_error(
        fmt::format("unsupported format string passed to {}.__format__", type_name(value)));
  }
  HEARTH_TRY(const Spec parsed, parse_spec(spec, value.is_string()));
  if (value.is_string()) return format_text(value.text(), parsed, value);
  if (value.is_integer()) return format_integer(value, parsed);
  return format_float(value, value.as_float(), parsed);
}

}  // namespace hearth::text::jinja
