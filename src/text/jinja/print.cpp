// See print.h.
#include "text/jinja/print.h"

#include <charconv>
#include <cmath>
#include <cstdlib>

#include <fmt/format.h>

#include "base/utf8.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/unicode.h"

namespace hearth::text::jinja {

std::string integer_text(WideInt value) {
  if (value >= INT64_MIN && value <= INT64_MAX) {
    return std::to_string(static_cast<std::int64_t>(value));
  }
  const bool negative = value < 0;
  auto rest = static_cast<unsigned __int128>(value);
  if (negative) rest = ~rest + 1;
  std::string digits;
  for (; rest > 0; rest /= 10)
    digits.push_back(static_cast<char>('0' + static_cast<int>(rest % 10)));
  if (negative) digits.push_back('-');
  return {digits.rbegin(), digits.rend()};
}

int exponent_of(std::string_view scientific) {
  const char* at = scientific.data() + scientific.find('e') + 1;
  if (*at == '+') ++at;  // Which from_chars does not take.
  int exponent = 0;
  std::from_chars(at, scientific.data() + scientific.size(), exponent);
  return exponent;
}

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  const auto shortest =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  const std::string_view text(buffer, static_cast<std::size_t>(shortest.ptr - buffer));
  const int exponent = exponent_of(text);
  if (exponent < -4 || exponent >= 16) return std::string(text);
  const auto fixed = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed);
  std::string out(buffer, fixed.ptr);
  if (out.find('.') == std::string::npos) out += ".0";
  return out;
}

void add_quoted(TextBuilder& out, std::string_view text, bool ascii_only) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const bool has_double = text.find('"') != std::string_view::npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  out.add(quote);
  for (std::size_t i = 0; i < text.size();) {
    const Utf8Char c = decode_utf8(text.substr(i));
    const char32_t code = c.code_point;
    if (code == static_cast<unsigned char>(quote) || code == '\\') {
      out.add('\\');
      out.add(static_cast<char>(code));
    } else if (code == '\n') {
      out.add("\\n");
    } else if (code == '\r') {
      out.add("\\r");
    } else if (code == '\t') {
      out.add("\\t");
    } else if (ascii_only ? code >= 0x20 && code < 0x7F : has_flag(code, kPrintable)) {
      out.add(text.substr(i, c.length));
    } else if (code <= 0xFF) {
      out.add(fmt::format("\\x{:02x}", static_cast<std::uint32_t>(code)));
    } else if (code <= 0xFFFF) {
      out.add(fmt::format("\\u{:04x}", static_cast<std::uint32_t>(code)));
    } else {
      out.add(fmt::format("\\U{:08x}", static_cast<std::uint32_t>(code)));
    }
    i += c.length;
  }
  out.add(quote);
}

namespace {

void add_repr_at(TextBuilder& out, const Value& value, unsigned depth);

void add_items(TextBuilder& out, std::span<const Value> items, unsigned depth) {
  for (std::size_t i = 0; i < items.size() && !out.is_full(); ++i) {
    if (i > 0) out.add(", ");
    add_repr_at(out, items[i], depth);
  }
}

void add_tuple(TextBuilder& out, std::span<const Value> items, unsigned depth) {
  out.add('(');
  add_items(out, items, depth);
  out.add(items.size() == 1 ? ",)" : ")");
}

void add_dict(TextBuilder& out, const Dict& dict, unsigned depth) {
  out.add('{');
  for (std::uint32_t i = 0; i < dict.size && !out.is_full(); ++i) {
    if (i > 0) out.add(", ");
    add_repr_at(out, dict.entries[i].key, depth);
    out.add(": ");
    add_repr_at(out, dict.entries[i].value, depth);
  }
  out.add('}');
}

void add_view(TextBuilder& out, const Value& value, unsigned depth) {
  const DictView& view = value.view();
  out.add(type_name(value));
  out.add("([");
  for (std::uint32_t i = 0; i < view.dict->size && !out.is_full(); ++i) {
    const DictEntry& entry = view.dict->entries[i];
    if (i > 0) out.add(", ");
    if (view.what == ViewOf::kKeys) add_repr_at(out, entry.key, depth);
    if (view.what == ViewOf::kValues) add_repr_at(out, entry.value, depth);
    if (view.what == ViewOf::kItems) {
      const Value pair[] = {entry.key, entry.value};
      add_tuple(out, pair, depth);
    }
  }
  out.add("])");
}

void add_namespace(TextBuilder& out, const Namespace& space, unsigned depth) {
  out.add("<Namespace ");
  // Namespaces alone can hold themselves.
  if (depth > kNestingMax) {
    out.add("{...}");
  } else {
    add_dict(out, space.attributes, depth);
  }
  out.add('>');
}

void add_repr_at(TextBuilder& out, const Value& value, unsigned depth) {
  ++depth;
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
      return out.add("Undefined");
    case Kind::kNone:
      return out.add("None");
    case Kind::kBool:
      return out.add(value.as_bool() ? "True" : "False");
    case Kind::kInt:
    case Kind::kWideInt:
      return out.add(integer_text(value.as_wide()));
    case Kind::kFloat:
      return out.add(float_text(value.as_float()));
    case Kind::kString:
      if (!value.is_markup()) return add_quoted(out, value.text());
      out.add("Markup(");
      add_quoted(out, value.text());
      return out.add(')');
    case Kind::kList:
      out.add('[');
      add_items(out, value.sequence().span(), depth);
      return out.add(']');
    case Kind::kTuple:
      return add_tuple(out, value.sequence().span(), depth);
    case Kind::kDict:
      return add_dict(out, value.dict(), depth);
    case Kind::kDictView:
      return add_view(out, value, depth);
    case Kind::kRange: {
      const Range& range = value.range();
      out.add(fmt::format("range({}, {}", range.start, range.stop));
      if (range.step != 1) out.add(fmt::format(", {}", range.step));
      return out.add(')');
    }
    case Kind::kNamespace:
      return add_namespace(out, value.name_space(), depth);
    case Kind::kMacro:
      return out.add(describe(value.macro()));
    case Kind::kLoop:
      return out.add("<LoopContext>");
    case Kind::kIterator:
    case Kind::kFunction:
    case Kind::kCycler:
    case Kind::kJoiner:
      return out.add(fmt::format("<{} object>", type_name(value)));
  }
}

}  // namespace

void add_repr(TextBuilder& out, const Value& value) { add_repr_at(out, value, 0); }

void add_str(TextBuilder& out, const Value& value) {
  if (value.is_string()) return out.add(value.text());
  if (value.is_undefined()) return;
  add_repr(out, value);
}

Result<Value> to_str(Runtime& runtime, const Value& value) {
  if (value.is_string()) return Value::string(value.text());
  if (value.is_undefined()) return Value::string("");
  TextBuilder out(runtime);
  add_str(out, value);
  return out.finish();
}

Result<Value> to_soft_str(Runtime& runtime, const Value& value) {
  if (value.is_string()) return value;
  return to_str(runtime, value);
}

Result<Value> escape_html(Runtime& runtime, const Value& value) {
  if (value.is_markup()) return value;
  HEARTH_TRY(const Value plain, to_str(runtime, value));
  TextBuilder out(runtime);
  for (char c : plain.text()) {
    switch (c) {
      case '&':
        out.add("&amp;");
        break;
      case '<':
        out.add("&lt;");
        break;
      case '>':
        out.add("&gt;");
        break;
      case '\'':
        out.add("&#39;");
        break;
      case '"':
        out.add("&#34;");
        break;
      default:
        out.add(c);
    }
  }
  return out.finish(true);
}

}  // namespace hearth::text::jinja
