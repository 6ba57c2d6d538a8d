// See format.h: printf-style and brace formatting.  The mini-language is in format_spec.cpp.
#include "text/jinja/format.h"

#include <cmath>

#include <fmt/format.h>

#include "base/utf8.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/unicode.h"

namespace hearth::text::jinja {

namespace {

// --- "%s" % value ------------------------------------------------------------------------------

struct Conversion {
  bool left = false, plus = false, blank = false, alternate = false, zero = false;
  int width = 0;
  int precision = -1;
  char type = 0;
};

class PercentFormatter {
 public:
  PercentFormatter(Runtime& runtime, const Value& format, const Value& arguments)
      : runtime_(runtime),
        text_(format.text()),
        is_markup_(format.is_markup()),
        arguments_(arguments),
        out_(runtime) {}

  Result<Value> run();

 private:
  Result<> add_conversion();
  Result<Value> named_argument();
  Result<Value> next_argument();
  Result<int> number_or_star(int limit);
  Result<Conversion> parse_conversion();
  Result<std::string> convert(const Conversion& conversion, const Value& value);
  Result<std::string> convert_text(const Conversion& conversion, const Value& value);
  Result<std::string> convert_integer(const Conversion& conversion, const Value& value);
  Result<std::string> convert_float(const Conversion& conversion, const Value& value);
  Result<std::string> convert_char(const Value& value);
  bool arguments_are_mapping() const;

  Runtime& runtime_;
  std::string_view text_;  // What is left of the format.
  bool is_markup_;
  Value arguments_;
  std::uint32_t n_used_ = 0;
  std::optional<Value> named_;  // The argument that "%(name)" chose for this conversion.
  TextBuilder out_;
};

// Python asks whether the argument can be subscripted, and lists can.
bool PercentFormatter::arguments_are_mapping() const {
  switch (arguments_.kind()) {
    case Kind::kDict:
    case Kind::kList:
    case Kind::kRange:
    case Kind::kUndefined:
      return true;
    default:
      return false;
  }
}

Result<Value> PercentFormatter::next_argument() {
  if (named_) return *named_;
  const bool is_tuple = arguments_.is(Kind::kTuple);
  const std::uint32_t n_arguments = is_tuple ? arguments_.sequence().size : 1;
  if (n_used_ >= n_arguments) return template_error("not enough arguments for format string");
  ++n_used_;
  return is_tuple ? arguments_.sequence().items[n_used_ - 1] : arguments_;
}

// The "(name)" of a conversion, if it has one.
Result<Value> PercentFormatter::named_argument() {
  std::size_t depth = 1, end = 1;
  for (; end < text_.size() && depth > 0; ++end) {
    if (text_[end] == '(') ++depth;
    if (text_[end] == ')') --depth;
  }
  if (depth > 0) return template_error("incomplete format key");
  const std::string_view name = text_.substr(1, end - 2);
  text_.remove_prefix(end);
  if (!arguments_.is(Kind::kDict)) return template_error("format requires a mapping");
  const Value* found = arguments_.dict().find(name);
  if (!found) return template_error(fmt::format("format has no argument '{}'", name));
  return *found;
}

Result<int> PercentFormatter::number_or_star(int limit) {
  if (!text_.empty() && text_.front() == '*') {
    text_.remove_prefix(1);
    HEARTH_TRY(const Value argument, next_argument());
    HEARTH_TRY(const std::int64_t number, to_index(argument, "* in a format"));
    if (number > limit || number < -limit) {
      return template_error(fmt::format("a format's width or precision exceeds {}", limit));
    }
    return static_cast<int>(number);
  }
  int number = 0;
  while (!text_.empty() && text_.front() >= '0' && text_.front() <= '9') {
    number = number * 10 + (text_.front() - '0');
    if (number > limit) {
      return template_error(fmt::format("a format's width or precision exceeds {}", limit));
    }
    text_.remove_prefix(1);
  }
  return number;
}

Result<Conversion> PercentFormatter::parse_conversion() {
  Conversion c;
  for (bool is_flag = true; is_flag && !text_.empty();) {
    switch (text_.front()) {
      case '-':
        c.left = true;
        break;
      case '+':
        c.plus = true;
        break;
      case ' ':
        c.blank = true;
        break;
      case '#':
        c.alternate = true;
        break;
      case '0':
        c.zero = true;
        break;
      default:
        is_flag = false;
    }
    if (is_flag) text_.remove_prefix(1);
  }
  HEARTH_TRY(c.width, number_or_star(kFormatWidthMax));
  if (c.width < 0) {
    c.left = true;
    c.width = -c.width;
  }
  if (!text_.empty() && text_.front() == '.') {
    text_.remove_prefix(1);
    HEARTH_TRY(c.precision, number_or_star(kFormatPrecisionMax));
    c.precision = std::max(c.precision, 0);
  }
  // C's length modifiers mean nothing here.
  while (!text_.empty() && (text_.front() == 'l' || text_.front() == 'L' || text_.front() == 'h')) {
    text_.remove_prefix(1);
  }
  if (text_.empty()) return template_error("incomplete format");
  c.type = text_.front();
  text_.remove_prefix(1);
  return c;
}

Result<std::string> PercentFormatter::convert_text(const Conversion& c, const Value& value) {
  TextBuilder builder(runtime_);
  if (c.type == 's') {
    add_str(builder, value);
  } else if (c.type == 'a' && value.is_string()) {
    add_quoted(builder, value.text(), true);
  } else {
    add_repr(builder, value);
  }
  HEARTH_TRY(Value text, builder.finish(c.type == 's' && value.is_markup()));
  if (is_markup_) {
    HEARTH_TRY(text, escape_html(runtime_, text));
  }
  std::string_view cut = text.text();
  if (c.precision >= 0) {
    cut = cut.substr(0, byte_offset(cut, static_cast<std::size_t>(c.precision)));
  }
  return pad(cut, c.width, c.left ? '<' : '>');
}

std::string lay_out(const Conversion& c, const std::string& sign, const std::string& digits) {
  const auto used = static_cast<int>(sign.size() + digits.size());
  if (c.zero && !c.left && used < c.width) {
    return sign + std::string(static_cast<std::size_t>(c.width - used), '0') + digits;
  }
  return pad(sign + digits, c.width, c.left ? '<' : '>');
}

std::string sign_of(const Conversion& c, bool negative) {
  if (negative) return "-";
  if (c.plus) return "+";
  return c.blank ? " " : "";
}

Result<std::string> PercentFormatter::convert_integer(const Conversion& c, const Value& value) {
  const bool is_decimal = c.type == 'd' || c.type == 'i' || c.type == 'u';
  WideInt wide = 0;
  if (value.is_integer()) {
    wide = value.as_wide();
  } else if (is_decimal && value.is(Kind::kFloat) && std::abs(value.as_float()) < 0x1p126) {
    wide = static_cast<WideInt>(value.as_float());
  } else {
    return template_error(fmt::format("%{} format: a{} is required, not {}", c.type,
                                      is_decimal ? " real number" : "n integer", type_name(value)));
  }
  const unsigned base = is_decimal ? 10 : c.type == 'o' ? 8 : 16;
  const auto magnitude =
      wide < 0 ? ~static_cast<unsigned __int128>(wide) + 1 : static_cast<unsigned __int128>(wide);
  std::string digits = integer_digits(magnitude, base);
  if (static_cast<int>(digits.size()) < c.precision) {
    digits.insert(0, static_cast<std::size_t>(c.precision) - digits.size(), '0');
  }
  std::string sign = sign_of(c, wide < 0);
  if (c.alternate && !is_decimal) sign += c.type == 'o' ? "0o" : "0x";
  std::string out = lay_out(c, sign, digits);
  return c.type == 'X' ? to_upper(out) : out;
}

Result<std::string> PercentFormatter::convert_float(const Conversion& c, const Value& value) {
  if (!value.is_number()) {
    if (value.is_undefined()) return std::unexpected(undefined_error(value));
    return template_error(fmt::format("must be real number, not {}", type_name(value)));
  }
  const double real = value.is_integer() ? static_cast<double>(value.as_wide()) : value.as_float();
  std::string digits = float_digits(real, c.type, c.precision < 0 ? 6 : c.precision, c.alternate);
  const bool negative = digits.front() == '-';
  if (negative) digits.erase(0, 1);
  return lay_out(c, sign_of(c, negative), digits);
}

Result<std::string> PercentFormatter::convert_char(const Value& value) {
  if (value.is_string() && char_count(value.text()) == 1) return std::string(value.text());
  if (!value.is_integer()) return template_error("%c requires int or char");
  const WideInt code = value.as_wide();
  if (code < 0 || code > 0x10FFFF) return template_error("%c arg not in range(0x110000)");
  std::string out;
  append_utf8(out, static_cast<char32_t>(code));
  return out;
}

Result<std::string> PercentFormatter::convert(const Conversion& c, const Value& value) {
  switch (c.type) {
    case 's':
    case 'r':
    case 'a':
      return convert_text(c, value);
    case 'd':
    case 'i':
    case 'u':
    case 'o':
    case 'x':
    case 'X':
      return convert_integer(c, value);
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      return convert_float(c, value);
    case 'c': {
      HEARTH_TRY(const std::string one, convert_char(value));
      return pad(one, c.width, c.left ? '<' : '>');
    }
    default:
      return template_error(fmt::format("unsupported format character '{}'", c.type));
  }
}

Result<> PercentFormatter::add_conversion() {
  named_.reset();
  if (!text_.empty() && text_.front() == '(') {
    HEARTH_TRY(named_, named_argument());
  }
  HEARTH_TRY(const Conversion conversion, parse_conversion());
  if (conversion.type == '%') return out_.add('%'), Result<>{};
  HEARTH_TRY(const Value value, next_argument());
  HEARTH_TRY(const std::string converted, convert(conversion, value));
  out_.add(converted);
  return runtime_.charge_text(converted.size() + 64);
}

Result<Value> PercentFormatter::run() {
  while (!text_.empty()) {
    const std::size_t percent = std::min(text_.find('%'), text_.size());
    out_.add(text_.substr(0, percent));
    text_.remove_prefix(percent);
    if (text_.empty()) break;
    text_.remove_prefix(1);
    HEARTH_TRY_VOID(add_conversion());
  }
  const std::uint32_t n_arguments = arguments_.is(Kind::kTuple) ? arguments_.sequence().size : 1;
  if (n_used_ < n_arguments && !arguments_are_mapping()) {
    return template_error("not all arguments converted during string formatting");
  }
  return out_.finish(is_markup_);
}

// --- "{}".format(value) ------------------------------------------------------------------------

class BraceFormatter {
 public:
  BraceFormatter(Runtime& runtime, const Value& format, const CallArguments& arguments)
      : runtime_(runtime), is_markup_(format.is_markup()), arguments_(arguments) {}

  // Fields may hold fields in their spec, one level deep.
  Result<std::string> format(std::string_view text, int levels_left);

 private:
  Result<std::string> field(std::string_view body, int levels_left);
  Result<Value> field_value(std::string_view name);
  Result<Value> first_value(std::string_view name);
  Result<std::string> convert(const Value& value, char conversion, std::string_view spec);

  Runtime& runtime_;
  bool is_markup_;
  const CallArguments& arguments_;
  std::size_t n_counted_ = 0;  // Fields that left their number out.
  bool has_numbers_ = false;   // Some field gave it.
};

std::optional<std::size_t> decimal(std::string_view text) {
  if (text.empty() || text.size() > 9) return std::nullopt;
  std::size_t number = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    number = number * 10 + static_cast<std::size_t>(c - '0');
  }
  return number;
}

// A field's number or name, without what follows it.
Result<Value> BraceFormatter::first_value(std::string_view name) {
  if (const auto number = decimal(name)) {
    if (*number < arguments_.positional.size()) return arguments_.positional[*number];
    return template_error(fmt::format("format has no argument number {}", *number));
  }
  for (const NamedArgument& named : arguments_.named) {
    if (named.name == name) return named.value;
  }
  return template_error(fmt::format("format has no argument '{}'", name));
}

// "name.attribute[item]".
Result<Value> BraceFormatter::field_value(std::string_view name) {
  std::string counted;
  if (name.empty()) {
    if (has_numbers_) return template_error("format fields mix automatic and manual numbers");
    counted = std::to_string(n_counted_++);
    name = counted;
  } else if (decimal(name)) {
    if (n_counted_ > 0) return template_error("format fields mix automatic and manual numbers");
    has_numbers_ = true;
  }
  const std::size_t first_end = std::min(name.find_first_of(".["), name.size());
  HEARTH_TRY(Value value, first_value(name.substr(0, first_end)));
  std::string_view rest = name.substr(first_end);
  while (!rest.empty()) {
    const bool is_item = rest.front() == '[';
    if (!is_item && rest.front() != '.') {
      return template_error("only '.' or '[' may follow ']' in a format field");
    }
    rest.remove_prefix(1);
    const std::size_t end =
        is_item ? rest.find(']') : std::min(rest.find_first_of(".["), rest.size());
    if (end == std::string_view::npos) return template_error("missing ']' in a format field");
    const std::string_view key = rest.substr(0, end);
    if (key.empty()) return template_error("empty attribute in a format field");
    rest.remove_prefix(end + (is_item ? 1 : 0));
    // The names of undefined values outlive the spec that a nested field may have made.
    const Value name_value = runtime_.string(key);
    if (const auto number = decimal(key); is_item && number) {
      HEARTH_TRY(value,
                 get_item(runtime_, value, Value::integer(static_cast<std::int64_t>(*number))));
    } else if (is_item) {
      HEARTH_TRY(value, get_item(runtime_, value, name_value));
    } else {
      HEARTH_TRY(value, get_attribute(runtime_, value, name_value.text()));
    }
  }
  return value;
}

Result<std::string> BraceFormatter::convert(const Value& original, char conversion,
                                            std::string_view spec) {
  Value value = original;
  if (conversion == 'r' || conversion == 'a') {
    TextBuilder text(runtime_);
    if (conversion == 'a' && value.is_string()) {
      add_quoted(text, value.text(), true);
    } else {
      add_repr(text, value);
    }
    HEARTH_TRY(value, text.finish());
  } else if (conversion == 's') {
    HEARTH_TRY(value, to_str(runtime_, value));
  } else if (conversion != 0) {
    return template_error(fmt::format("unknown conversion '!{}' in a format field", conversion));
  }
  if (!is_markup_) return format_value(runtime_, value, spec);
  if (value.is_markup()) {
    if (!spec.empty()) return template_error("Unsupported format specification for Markup.");
    return std::string(value.text());
  }
  HEARTH_TRY(const std::string plain, format_value(runtime_, value, spec));
  HEARTH_TRY(const Value escaped, escape_html(runtime_, runtime_.string(plain)));
  return std::string(escaped.text());
}

// The text between the braces: name!conversion:spec.
Result<std::string> BraceFormatter::field(std::string_view body, int levels_left) {
  std::size_t name_end = 0;
  for (bool in_item = false; name_end < body.size(); ++name_end) {
    const char c = body[name_end];
    if (c == '[') in_item = true;
    if (c == ']') in_item = false;
    if (!in_item && (c == '!' || c == ':')) break;
    if (c == '{') return template_error("unexpected '{' in field name");
  }
  HEARTH_TRY(const Value value, field_value(body.substr(0, name_end)));
  std::string_view rest = body.substr(name_end);
  char conversion = 0;
  if (!rest.empty() && rest.front() == '!') {
    if (rest.size() < 2) return template_error("a format field ends before its conversion");
    conversion = rest[1];
    rest.remove_prefix(2);
    if (!rest.empty() && rest.front() != ':') {
      return template_error("expected ':' after a format field's conversion");
    }
  }
  std::string spec;
  if (!rest.empty()) {
    HEARTH_TRY(spec, format(rest.substr(1), levels_left - 1));
  }
  return convert(value, conversion, spec);
}

Result<std::string> BraceFormatter::format(std::string_view text, int levels_left) {
  if (levels_left < 0) return template_error("format fields nest too deep");
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t brace = std::min(text.find_first_of("{}", i), text.size());
    out += text.substr(i, brace - i);
    i = brace;
    if (i == text.size()) break;
    if (i + 1 < text.size() && text[i + 1] == text[i]) {
      out += text[i];
      i += 2;
      continue;
    }
    if (text[i] == '}') return template_error("Single '}' encountered in format string");
    std::size_t depth = 1, end = i + 1;
    for (; end < text.size() && depth > 0; ++end) {
      if (text[end] == '{') ++depth;
      if (text[end] == '}') --depth;
    }
    if (depth > 0) return template_error("expected '}' before end of format string");
    HEARTH_TRY(const std::string formatted, field(text.substr(i + 1, end - i - 2), levels_left));
    HEARTH_TRY_VOID(runtime_.reserve(1, out.size() + formatted.size()));
    HEARTH_TRY_VOID(runtime_.charge_text(formatted.size() + 64));
    out += formatted;
    i = end;
  }
  return out;
}

}  // namespace

Result<Value> percent_format(Runtime& runtime, const Value& format, const Value& arguments) {
  return PercentFormatter(runtime, format, arguments).run();
}

Result<Value> brace_format(Runtime& runtime, const Value& format, const CallArguments& arguments) {
  HEARTH_TRY(const std::string text,
             BraceFormatter(runtime, format, arguments).format(format.text(), 1));
  return runtime.string(text, format.is_markup());
}

}  // namespace hearth::text::jinja
