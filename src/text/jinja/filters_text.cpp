// Filters on text.
#include <algorithm>

#include <fmt/format.h>

#include "base/utf8.h"
#include "text/jinja/filters.h"
#include "text/jinja/format.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/text_ops.h"
#include "text/jinja/unicode.h"

namespace hearth::text::jinja {

namespace {

using Args = std::span<const Value>;

// Filters take any value and work on its text.
Result<Value> text_of(Runtime& runtime, const Value& value) {
  HEARTH_TRY(const Value text, to_soft_str(runtime, value));
  HEARTH_TRY_VOID(runtime.charge_text(text.text().size()));
  return text;
}

template <std::string (*kConvert)(std::string_view)>
Result<Value> convert(Runtime& runtime, Args args) {
  HEARTH_TRY(const Value text, text_of(runtime, args[0]));
  return runtime.string(kConvert(text.text()), text.is_markup());
}

bool begins_word(char c) { return c == '-' || c == '(' || c == '{' || c == '[' || c == '<'; }

// Unlike str.title, only blanks and opening brackets separate words.
Result<Value> title(Runtime& runtime, Args args) {
  HEARTH_TRY(const Value value, text_of(runtime, args[0]));
  const std::string_view text = value.text();
  const auto is_separator = [&](std::size_t i) {
    return begins_word(text[i]) || has_flag(decode_utf8(text.substr(i)).code_point, kSpace);
  };
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const Utf8Char first = decode_utf8(text.substr(i));
    if (is_separator(i)) {
      out += text.substr(i, first.length);
      i += first.length;
      continue;
    }
    append_upper(out, first.code_point);
    i += first.length;
    const std::size_t rest = i;
    while (i < text.size() && !is_separator(i)) i += char_at(text, i).size();
    out += to_lower(text.substr(rest, i - rest));
  }
  return runtime.string(out);
}

Result<Value> trim(Runtime& runtime, Args args) {
  HEARTH_TRY(const Value text, text_of(runtime, args[0]));
  if (!is_given(args[1])) {
    return Value::string(strip_right(strip_left(text.text())), text.is_markup());
  }
  if (!args[1].is_string()) return template_error("trim() takes the characters as a str");
  const std::string_view chars = args[1].text();
  return Value::string(strip_right(strip_left(text.text(), chars), chars), text.is_markup());
}

Result<Value> replace(Runtime& runtime, Args args) {
  HEARTH_TRY(const Value text, to_str(runtime, args[0]));
  HEARTH_TRY(const Value from, to_str(runtime, args[1]));
  HEARTH_TRY(const Value to, to_str(runtime, args[2]));
  std::int64_t count_max = -1;
  if (is_given(args[3])) {
    HEARTH_TRY(count_max, to_index(args[3], "replace()'s count"));
  }
  return replace_text(runtime, text.text(), from.text(), to.text(), count_max);
}

// "x"|indent: `s += newline` in Jinja, so only text will do.
Result<Value> indent(Runtime& runtime, Args args) {
  if (!args[0].is_string()) {
    if (args[0].is_undefined()) return std::unexpected(undefined_error(args[0]));
    return template_error(fmt::format("indent() takes a str, not '{}'", type_name(args[0])));
  }
  std::string indention(4, ' ');
  if (args[1].is_string()) {
    indention = args[1].text();
  } else if (!args[1].is_missing()) {
    HEARTH_TRY(const std::int64_t width, to_index(args[1], "indent()'s width"));
    if (width > kFormatWidthMax) return template_error("indent()'s width is too large");
    indention.assign(static_cast<std::size_t>(std::max<std::int64_t>(0, width)), ' ');
  }
  HEARTH_TRY_VOID(runtime.charge_text(args[0].text().size()));
  const bool indents_first = truth(args[2]), indents_blank = truth(args[3]);
  const std::string with_newline = std::string(args[0].text()) + "\n";
  const auto lines = split_lines(with_newline);
  TextBuilder out(runtime);
  for (std::size_t i = 0; i < lines.size() && !out.is_full(); ++i) {
    if (i > 0) out.add('\n');
    const bool indents = i == 0 ? indents_first : indents_blank || !lines[i].empty();
    if (indents) out.add(indention);
    out.add(lines[i]);
  }
  return out.finish(args[0].is_markup());
}

Result<Value> truncate(Runtime& runtime, Args args) {
  const Value& value = args[0];
  std::int64_t limit = 255, leeway = 5;
  if (!args[1].is_missing()) {
    HEARTH_TRY(limit, to_index(args[1], "truncate()'s length"));
  }
  if (is_given(args[4])) {
    HEARTH_TRY(leeway, to_index(args[4], "truncate()'s leeway"));
  }
  const Value end = args[3].is_missing() ? Value::string("...") : args[3];
  if (!end.is_string()) return template_error("truncate() takes its end as a str");
  HEARTH_TRY(const std::int64_t size, length(value));
  HEARTH_TRY(const std::int64_t end_size, length(end));
  if (limit < end_size || leeway < 0) {
    return template_error("truncate() needs a length that its end fits in");
  }
  if (size - leeway <= limit) return value;
  if (!value.is_string()) return template_error("truncate() can only shorten text");
  HEARTH_TRY_VOID(runtime.charge_text(value.text().size()));
  std::string_view kept =
      value.text().substr(0, byte_offset(value.text(), static_cast<std::size_t>(limit - end_size)));
  if (!truth(args[2])) kept = split_at_from_right(kept, " ", 1).front();
  return binary(runtime, BinaryOp::kAdd, Value::string(kept, value.is_markup()), end);
}

Result<Value> center(Runtime& runtime, Args args) {
  HEARTH_TRY(const Value text, text_of(runtime, args[0]));
  const NativeFunction* method = method_table(Kind::kString)->find("center");
  const Value width = args[1].is_missing() ? Value::integer(80) : args[1];
  return invoke(runtime, *method, text, {std::span(&width, 1), {}});
}

Result<Value> word_count(Runtime& runtime, Args args) {
  HEARTH_TRY(const Value text, text_of(runtime, args[0]));
  std::int64_t count = 0;
  bool in_word = false;
  for (std::size_t i = 0; i < text.text().size();) {
    const Utf8Char c = decode_utf8(text.text().substr(i));
    const bool is_word = c.code_point == '_' || has_flag(c.code_point, kAlphanumeric);
    count += is_word && !in_word ? 1 : 0;
    in_word = is_word;
    i += c.length;
  }
  return Value::integer(count);
}

Result<Value> to_string(Runtime& runtime, Args args) { return to_soft_str(runtime, args[0]); }

Result<Value> escape(Runtime& runtime, Args args) { return escape_html(runtime, args[0]); }

Result<Value> mark_safe(Runtime& runtime, Args args) {
  HEARTH_TRY(const Value text, to_str(runtime, args[0]));
  return Value::string(text.text(), true);
}

Result<Value> force_escape(Runtime& runtime, Args args) {
  HEARTH_TRY(const Value text, to_str(runtime, args[0]));
  return escape_html(runtime, text);
}

// --- URLs and markup -----------------------------------------------------------------------------

void add_url_quoted(TextBuilder& out, std::string_view text, bool in_query) {
  static constexpr std::string_view kSafe =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~";
  for (char c : text) {
    const bool is_safe = kSafe.find(c) != std::string_view::npos || (c == '/' && !in_query);
    if (is_safe) {
      out.add(c);
    } else if (c == ' ' && in_query) {
      out.add('+');
    } else {
      out.add(fmt::format("%{:02X}", static_cast<unsigned>(static_cast<unsigned char>(c))));
    }
  }
}

// A text is quoted whole; a dict or pairs become a query.
Result<Value> url_encode(Runtime& runtime, Args args) {
  TextBuilder out(runtime);
  if (args[0].is_string() || !is_iterable(args[0])) {
    HEARTH_TRY(const Value text, to_str(runtime, args[0]));
    add_url_quoted(out, text.text(), false);
    return out.finish();
  }
  Value pairs = args[0];
  if (pairs.is(Kind::kDict)) {
    pairs = Value::view(runtime.arena.make<DictView>(&pairs.dict(), ViewOf::kItems));
  }
  HEARTH_TRY(const std::vector<Value> items, collect(runtime, pairs));
  for (std::size_t i = 0; i < items.size(); ++i) {
    HEARTH_TRY(const std::vector<Value> pair, collect(runtime, items[i]));
    if (pair.size() != 2) return template_error("urlencode takes pairs of a key and a value");
    HEARTH_TRY(const Value key, to_str(runtime, pair[0]));
    HEARTH_TRY(const Value value, to_str(runtime, pair[1]));
    if (i > 0) out.add('&');
    add_url_quoted(out, key.text(), true);
    out.add('=');
    add_url_quoted(out, value.text(), true);
  }
  return out.finish();
}

Result<Value> xml_attributes(Runtime& runtime, Args args) {
  if (!args[0].is(Kind::kDict)) return template_error("xmlattr takes a dict");
  const bool leads_with_blank = args[1].is_missing() || truth(args[1]);
  TextBuilder out(runtime);
  for (const DictEntry& entry : args[0].dict().span()) {
    if (entry.value.is_none() || entry.value.is_undefined()) continue;
    if (!entry.key.is_string()) return template_error("xmlattr takes texts as names");
    if (entry.key.text().find_first_of(" \t\n\r\f\v/>=") != std::string_view::npos) {
      return template_error(
          fmt::format("invalid character in attribute name '{}'", entry.key.text()));
    }
    HEARTH_TRY(const Value key, escape_html(runtime, entry.key));
    HEARTH_TRY(const Value value, escape_html(runtime, entry.value));
    if (leads_with_blank || !out.text().empty()) out.add(' ');
    out.add(key.text());
    out.add("=\"");
    out.add(value.text());
    out.add('"');
  }
  return out.finish();
}

Result<Value> format_filter(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  if (!arguments.positional.empty() && !arguments.named.empty()) {
    return template_error("format takes arguments by position or by name, not both");
  }
  HEARTH_TRY(const Value format, to_soft_str(runtime, self));
  if (arguments.named.empty()) {
    HEARTH_TRY(const Value tuple, runtime.tuple(arguments.positional));
    return percent_format(runtime, format, tuple);
  }
  auto* by_name = runtime.arena.make<Dict>();
  for (const NamedArgument& named : arguments.named) {
    by_name->set(runtime.arena, Value::string(named.name), named.value);
  }
  HEARTH_TRY(const Value dict, runtime.dict(by_name));
  return percent_format(runtime, format, dict);
}

constexpr FunctionSpec kTextFilters[] = {
    {"capitalize", "", convert<to_capitalized>},
    {"center", "[width]", center},
    {"e", "", escape},
    {"escape", "", escape},
    {"forceescape", "", force_escape},
    {"indent", "[width] [first] [blank]", indent},
    {"lower", "", convert<to_lower>},
    {"replace", "old new [count]", replace},
    {"safe", "", mark_safe},
    {"string", "", to_string},
    {"title", "", title},
    {"trim", "[chars]", trim},
    {"truncate", "[length] [killwords] [end] [leeway]", truncate},
    {"upper", "", convert<to_upper>},
    {"urlencode", "", url_encode},
    {"wordcount", "", word_count},
    {"xmlattr", "[autospace]", xml_attributes},
};
constexpr FreeFunctionSpec kFreeTextFilters[] = {{"format", format_filter}};

}  // namespace

std::span<const FunctionSpec> text_filters() { return kTextFilters; }
std::span<const FreeFunctionSpec> free_text_filters() { return kFreeTextFilters; }

}  // namespace hearth::text::jinja
