// Methods of Python's str.  Markup has the same ones: they return markup, and escape text that
// they put into it.
#include "text/jinja/methods_text.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/utf8.h"
#include "text/jinja/format.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/text_ops.h"
#include "text/jinja/unicode.h"

namespace hearth::text::jinja {

namespace {

using Args = std::span<const Value>;

bool is_given(const Value& value) { return !value.is_missing() && !value.is_none(); }

// A text made from `self`, and markup where `self` is.
Value like(Runtime& runtime, const Value& self, std::string_view text) {
  return runtime.string(text, self.is_markup());
}

Result<std::string_view> text_argument(const Value& value, std::string_view method) {
  if (value.is_string()) return value.text();
  if (value.is_undefined()) return std::unexpected(undefined_error(value));
  return template_error(fmt::format("{}() takes a str, not '{}'", method, type_name(value)));
}

// Text that goes into `self`: escaped if `self` is markup.
Result<std::string_view> inserted_text(Runtime& runtime, const Value& self, const Value& value,
                                       std::string_view method) {
  HEARTH_TRY(const std::string_view plain, text_argument(value, method));
  if (!self.is_markup()) return plain;
  HEARTH_TRY(const Value escaped, escape_html(runtime, value));
  return escaped.text();
}

Result<std::int64_t> count_argument(const Value& value, std::int64_t fallback) {
  return value.is_missing() ? Result<std::int64_t>(fallback) : to_index(value, "a count");
}

// --- Case ----------------------------------------------------------------------------------------

template <std::string (*kConvert)(std::string_view)>
Result<Value> convert(Runtime& runtime, Args args) {
  HEARTH_TRY_VOID(runtime.charge_text(args[0].text().size()));
  return like(runtime, args[0], kConvert(args[0].text()));
}

// --- Strip, pad ----------------------------------------------------------------------------------

template <bool kLeft, bool kRight>
Result<Value> strip(Runtime& runtime, Args args) {
  std::string_view text = args[0].text();
  HEARTH_TRY_VOID(runtime.charge_text(text.size()));
  if (!is_given(args[1])) {
    if (args[1].is_undefined()) return std::unexpected(undefined_error(args[1]));
    if (kLeft) text = strip_left(text);
    if (kRight) text = strip_right(text);
  } else {
    HEARTH_TRY(const std::string_view chars, text_argument(args[1], "strip"));
    if (kLeft) text = strip_left(text, chars);
    if (kRight) text = strip_right(text, chars);
  }
  return Value::string(text, args[0].is_markup());
}

template <char kAlign>
Result<Value> justify(Runtime& runtime, Args args) {
  HEARTH_TRY(const std::int64_t width, to_index(args[1], "a width"));
  std::string_view fill = " ";
  if (!args[2].is_missing()) {
    HEARTH_TRY(fill, inserted_text(runtime, args[0], args[2], "justify"));
  }
  if (char_count(fill) != 1) return template_error("the fill must be exactly one character");
  const std::string_view text = args[0].text();
  HEARTH_TRY_VOID(
      runtime.reserve(static_cast<std::uint64_t>(std::max<std::int64_t>(width, 0)), fill.size()));
  if (kAlign != '^') return like(runtime, args[0], pad(text, width, kAlign, fill));
  // str.center puts the odd blank on the left of odd widths.
  const std::int64_t missing =
      std::max<std::int64_t>(0, width - static_cast<std::int64_t>(char_count(text)));
  const std::int64_t left = missing / 2 + (missing & width & 1);
  const std::string padded =
      pad(text, static_cast<std::int64_t>(char_count(text)) + left, '>', fill);
  return like(runtime, args[0], pad(padded, width, '<', fill));
}

Result<Value> zfill(Runtime& runtime, Args args) {
  HEARTH_TRY(const std::int64_t width, to_index(args[1], "a width"));
  std::string_view text = args[0].text();
  HEARTH_TRY_VOID(runtime.reserve(static_cast<std::uint64_t>(std::max<std::int64_t>(width, 0)), 1));
  const bool has_sign = !text.empty() && (text.front() == '-' || text.front() == '+');
  const std::string sign(text.substr(0, has_sign ? 1 : 0));
  text.remove_prefix(sign.size());
  return like(runtime, args[0],
              sign + pad(text, width - static_cast<std::int64_t>(sign.size()), '>', "0"));
}

Result<Value> expand_tabs(Runtime& runtime, Args args) {
  HEARTH_TRY(const std::int64_t size, count_argument(args[1], 8));
  TextBuilder out(runtime);
  std::int64_t column = 0;
  const std::string_view text = args[0].text();
  for (std::size_t i = 0; i < text.size();) {
    const std::string_view one = char_at(text, i);
    i += one.size();
    if (one == "\t") {
      const std::int64_t blanks = size > 0 ? size - column % size : 0;
      out.add_times(" ", static_cast<std::uint64_t>(blanks));
      column += blanks;
    } else {
      out.add(one);
      column = one == "\n" || one == "\r" ? 0 : column + 1;
    }
  }
  return out.finish(args[0].is_markup());
}

// --- Search --------------------------------------------------------------------------------------

// The part of a text that `start` and `end` choose, and where it begins in code points.
struct Window {
  std::string_view text;
  std::int64_t start = 0;
  bool is_valid = true;  // False where `start` lies behind the end: not even "" is found.
};

Result<Window> window(Runtime& runtime, const Value& self, const Value& start, const Value& end) {
  HEARTH_TRY_VOID(runtime.charge_text(self.text().size()));
  if (!is_given(start) && !is_given(end)) return Window{self.text()};
  const auto size = static_cast<std::int64_t>(char_count(self.text()));
  std::int64_t bounds[2] = {0, size};
  const Value given[2] = {start, end};
  for (std::size_t i = 0; i < 2; ++i) {
    if (!is_given(given[i])) continue;
    HEARTH_TRY(bounds[i], to_index(given[i], "an index"));
    if (bounds[i] < 0) bounds[i] = std::max<std::int64_t>(0, bounds[i] + size);
  }
  bounds[1] = std::min(bounds[1], size);
  if (bounds[0] > bounds[1]) return Window{{}, bounds[0], false};
  const std::size_t from = byte_offset(self.text(), static_cast<std::size_t>(bounds[0]));
  const std::size_t to = byte_offset(self.text(), static_cast<std::size_t>(bounds[1]));
  return Window{self.text().substr(from, to - from), bounds[0], true};
}

// The index of args[1] in args[0] in code points; -1 if it is not there.
template <bool kFromRight>
Result<std::int64_t> find_index(Runtime& runtime, Args args) {
  HEARTH_TRY(const std::string_view what, text_argument(args[1], "find"));
  HEARTH_TRY(const Window in, window(runtime, args[0], args[2], args[3]));
  if (!in.is_valid) return -1;
  const std::size_t found = kFromRight ? find_last_text(in.text, what) : find_text(in.text, what);
  if (found == std::string_view::npos) return -1;
  return in.start + static_cast<std::int64_t>(char_count(in.text.substr(0, found)));
}

template <bool kFromRight>
Result<Value> find(Runtime& runtime, Args args) {
  HEARTH_TRY(const std::int64_t index, find_index<kFromRight>(runtime, args));
  return Value::integer(index);
}

template <bool kFromRight>
Result<Value> index(Runtime& runtime, Args args) {
  HEARTH_TRY(const std::int64_t index, find_index<kFromRight>(runtime, args));
  if (index < 0) return template_error("substring not found");
  return Value::integer(index);
}

Result<Value> count(Runtime& runtime, Args args) {
  HEARTH_TRY(const std::string_view what, text_argument(args[1], "count"));
  HEARTH_TRY(Window in, window(runtime, args[0], args[2], args[3]));
  if (!in.is_valid) return Value::integer(0);
  if (what.empty()) return Value::integer(static_cast<std::int64_t>(char_count(in.text)) + 1);
  std::int64_t found = 0;
  for (std::size_t at = find_text(in.text, what); at != std::string_view::npos;
       at = find_text(in.text, what, at + what.size())) {
    ++found;
  }
  return Value::integer(found);
}

template <bool kAtEnd>
bool has_affix(const Window& in, std::string_view affix) {
  if (!in.is_valid) return false;
  return kAtEnd ? in.text.ends_with(affix) : in.text.starts_with(affix);
}

// startswith and endswith: one affix, or a tuple of which any will do.
template <bool kAtEnd>
Result<Value> has_any_affix(Runtime& runtime, Args args) {
  HEARTH_TRY(const Window in, window(runtime, args[0], args[2], args[3]));
  if (!args[1].is(Kind::kTuple)) {
    HEARTH_TRY(const std::string_view affix,
               text_argument(args[1], kAtEnd ? "endswith" : "startswith"));
    return Value::boolean(has_affix<kAtEnd>(in, affix));
  }
  for (const Value& item : args[1].sequence().span()) {
    HEARTH_TRY(const std::string_view affix,
               text_argument(item, kAtEnd ? "endswith" : "startswith"));
    if (has_affix<kAtEnd>(in, affix)) return Value::boolean(true);
  }
  return Value::boolean(false);
}

template <bool kAtEnd>
Result<Value> remove_affix(Runtime&, Args args) {
  HEARTH_TRY(const std::string_view affix, text_argument(args[1], "removeprefix"));
  std::string_view text = args[0].text();
  if (has_affix<kAtEnd>({text}, affix)) {
    kAtEnd ? text.remove_suffix(affix.size()) : text.remove_prefix(affix.size());
  }
  return Value::string(text, args[0].is_markup());
}

// --- Split, join, replace ------------------------------------------------------------------------

template <bool kFromRight>
Result<Value> split(Runtime& runtime, Args args) {
  const std::string_view text = args[0].text();
  HEARTH_TRY(const std::int64_t splits_max, count_argument(args[2], -1));
  HEARTH_TRY_VOID(runtime.charge_text(text.size()));
  HEARTH_TRY_VOID(runtime.reserve(text.size(), 1));
  if (!is_given(args[1])) {
    if (args[1].is_undefined()) return std::unexpected(undefined_error(args[1]));
    return list_of_texts(
        runtime,
        kFromRight ? split_space_from_right(text, splits_max) : split_space(text, splits_max),
        args[0].is_markup());
  }
  HEARTH_TRY(const std::string_view separator, text_argument(args[1], "split"));
  if (separator.empty()) return template_error("empty separator");
  return list_of_texts(runtime,
                       kFromRight ? split_at_from_right(text, separator, splits_max)
                                  : split_at(text, separator, splits_max),
                       args[0].is_markup());
}

Result<Value> lines(Runtime& runtime, Args args) {
  HEARTH_TRY_VOID(runtime.charge_text(args[0].text().size()));
  return list_of_texts(runtime, split_lines(args[0].text(), truth(args[1])), args[0].is_markup());
}

template <bool kFromRight>
Result<Value> partition(Runtime& runtime, Args args) {
  HEARTH_TRY(const std::string_view separator, text_argument(args[1], "partition"));
  if (separator.empty()) return template_error("empty separator");
  const std::string_view text = args[0].text();
  HEARTH_TRY_VOID(runtime.charge_text(text.size()));
  const std::size_t found =
      kFromRight ? find_last_text(text, separator) : find_text(text, separator);
  const bool markup = args[0].is_markup();
  Value parts[3] = {Value::string("", markup), Value::string("", markup),
                    Value::string("", markup)};
  if (found == std::string_view::npos) {
    parts[kFromRight ? 2 : 0] = args[0];
  } else {
    parts[0] = Value::string(text.substr(0, found), markup);
    parts[1] = Value::string(separator, markup);
    parts[2] = Value::string(text.substr(found + separator.size()), markup);
  }
  return runtime.tuple(parts);
}

Result<Value> join(Runtime& runtime, Args args) {
  HEARTH_TRY(const std::vector<Value> items, collect(runtime, args[1]));
  TextBuilder out(runtime);
  for (std::size_t i = 0; i < items.size() && !out.is_full(); ++i) {
    if (i > 0) out.add(args[0].text());
    HEARTH_TRY(const std::string_view text, inserted_text(runtime, args[0], items[i], "join"));
    out.add(text);
  }
  return out.finish(args[0].is_markup());
}

Result<Value> replace(Runtime& runtime, Args args) {
  HEARTH_TRY(const std::string_view from, text_argument(args[1], "replace"));
  HEARTH_TRY(const std::string_view to, inserted_text(runtime, args[0], args[2], "replace"));
  HEARTH_TRY(const std::int64_t count_max, count_argument(args[3], -1));
  return replace_text(runtime, args[0].text(), from, to, count_max, args[0].is_markup());
}

// --- Questions -----------------------------------------------------------------------------------

// Whether the text is not empty and every character has one of the flags.
template <std::uint16_t kFlags>
Result<Value> all_are(Runtime& runtime, Args args) {
  const std::string_view text = args[0].text();
  HEARTH_TRY_VOID(runtime.charge_text(text.size()));
  for (std::size_t i = 0; i < text.size();) {
    const Utf8Char c = decode_utf8(text.substr(i));
    if (!has_flag(c.code_point, kFlags)) return Value::boolean(false);
    i += c.length;
  }
  // Of all these, only isprintable holds for "".
  return Value::boolean(!text.empty() || kFlags == kPrintable);
}

Result<Value> is_all_ascii(Runtime& runtime, Args args) {
  HEARTH_TRY_VOID(runtime.charge_text(args[0].text().size()));
  return Value::boolean(is_ascii(args[0].text()));
}

// islower and isupper: some cased character, and none of the other case.
template <std::uint16_t kWanted, std::uint16_t kUnwanted>
Result<Value> is_cased(Runtime& runtime, Args args) {
  HEARTH_TRY_VOID(runtime.charge_text(args[0].text().size()));
  bool found = false;
  const std::string_view text = args[0].text();
  for (std::size_t i = 0; i < text.size();) {
    const Utf8Char c = decode_utf8(text.substr(i));
    const std::uint16_t flags = char_flags(c.code_point);
    if (flags & kUnwanted) return Value::boolean(false);
    if (flags & kWanted) found = true;
    i += c.length;
  }
  return Value::boolean(found);
}

Result<Value> is_title(Runtime& runtime, Args args) {
  HEARTH_TRY_VOID(runtime.charge_text(args[0].text().size()));
  bool found = false, in_word = false;
  const std::string_view text = args[0].text();
  for (std::size_t i = 0; i < text.size();) {
    const Utf8Char c = decode_utf8(text.substr(i));
    const std::uint16_t flags = char_flags(c.code_point);
    const bool starts = (flags & (kUpper | kTitle)) != 0;
    const bool continues = (flags & kLower) != 0;
    if ((starts && in_word) || (continues && !in_word)) return Value::boolean(false);
    in_word = starts || continues;
    found = found || in_word;
    i += c.length;
  }
  return Value::boolean(found);
}

Result<Value> format_method(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  return brace_format(runtime, self, arguments);
}

Result<Value> format_map(Runtime& runtime, Args args) {
  if (!args[1].is(Kind::kDict)) return template_error("format_map() takes a dict");
  std::vector<NamedArgument> named;
  for (const DictEntry& entry : args[1].dict().span()) {
    if (entry.key.is_string()) named.push_back({entry.key.text(), entry.value});
  }
  return brace_format(runtime, args[0], {{}, named});
}

constexpr FunctionSpec kTextMethods[] = {
    {"capitalize", "", convert<to_capitalized>},
    {"casefold", "", convert<to_casefold>},
    {"center", "width [fillchar] /", justify<'^'>},
    {"count", "sub [start] [end] /", count},
    {"endswith", "suffix [start] [end] /", has_any_affix<true>},
    {"expandtabs", "[tabsize]", expand_tabs},
    {"find", "sub [start] [end] /", find<false>},
    {"format_map", "mapping /", format_map},
    {"index", "sub [start] [end] /", index<false>},
    {"isalnum", "", all_are<kAlphanumeric>},
    {"isalpha", "", all_are<kAlpha>},
    {"isascii", "", is_all_ascii},
    {"isdecimal", "", all_are<kDecimal>},
    {"isdigit", "", all_are<kDigit>},
    {"islower", "", is_cased<kLower, kUpper | kTitle>},
    {"isnumeric", "", all_are<kNumeric>},
    {"isprintable", "", all_are<kPrintable>},
    {"isspace", "", all_are<kSpace>},
    {"istitle", "", is_title},
    {"isupper", "", is_cased<kUpper, kLower | kTitle>},
    {"join", "iterable /", join},
    {"ljust", "width [fillchar] /", justify<'<'>},
    {"lower", "", convert<to_lower>},
    {"lstrip", "[chars] /", strip<true, false>},
    {"partition", "sep /", partition<false>},
    {"removeprefix", "prefix /", remove_affix<false>},
    {"removesuffix", "suffix /", remove_affix<true>},
    {"replace", "old new [count] /", replace},
    {"rfind", "sub [start] [end] /", find<true>},
    {"rindex", "sub [start] [end] /", index<true>},
    {"rjust", "width [fillchar] /", justify<'>'>},
    {"rpartition", "sep /", partition<true>},
    {"rsplit", "[sep] [maxsplit]", split<true>},
    {"rstrip", "[chars] /", strip<false, true>},
    {"split", "[sep] [maxsplit]", split<false>},
    {"splitlines", "[keepends]", lines},
    {"startswith", "prefix [start] [end] /", has_any_affix<false>},
    {"strip", "[chars] /", strip<true, true>},
    {"swapcase", "", convert<to_swapcase>},
    {"title", "", convert<to_title>},
    {"upper", "", convert<to_upper>},
    {"zfill", "width /", zfill},
};
constexpr FreeFunctionSpec kFreeTextMethods[] = {{"format", format_method}};

}  // namespace

std::span<const FunctionSpec> text_methods() { return kTextMethods; }
std::span<const FreeFunctionSpec> free_text_methods() { return kFreeTextMethods; }

}  // namespace hearth::text::jinja
