#include "privacy/number_run.h"

#include "privacy/chars.h"

namespace hearth::privacy {
namespace {

struct Separator {
  char kind = '\0';
  std::size_t bytes = 0;
};

struct WideSeparator {
  std::string_view bytes;
  char kind;
};
constexpr std::array kWide = {
    WideSeparator{"\xC2\xA0", ' '},      // No-break space.
    WideSeparator{"\xE2\x80\xAF", ' '},  // Narrow no-break space.
    WideSeparator{"\xE2\x80\x89", ' '},  // Thin space.
    WideSeparator{"\xE2\x80\x8B", ' '},  // Zero-width space.
    WideSeparator{"\xE2\x80\x90", '-'}, WideSeparator{"\xE2\x80\x91", '-'},
    WideSeparator{"\xE2\x80\x92", '-'}, WideSeparator{"\xE2\x80\x93", '-'},
    WideSeparator{"\xE2\x88\x92", '-'},
};

Separator separator_at(std::string_view text, std::size_t at) {
  const char c = at_or_zero(text, at);
  if (c == ' ' || c == '\t') return {' ', 1};
  if (c == '-' || c == '.' || c == '/' || c == '_') return {c, 1};
  if (!is_multibyte(c)) return {};
  for (const WideSeparator& wide : kWide) {
    if (text.substr(at, wide.bytes.size()) == wide.bytes) return {wide.kind, wide.bytes.size()};
  }
  return {};
}

}  // namespace

NumberRun read_run(std::string_view text, std::size_t at) {
  NumberRun run;
  char gap = '\0';
  bool is_in_digits = true;
  while (at < text.size()) {
    if (is_alnum(text[at])) {
      if (run.size == kRunCharsMax) {
        run.is_cut = gap == '\0';
        break;
      }
      is_in_digits = is_in_digits && is_digit(text[at]);
      if (is_in_digits) ++run.n_digits;
      run.chars[run.size] = upper(text[at]);
      run.begins[run.size] = at++;
      run.gaps[run.size++] = gap;
      gap = '\0';
      continue;
    }
    const Separator first = separator_at(text, at);
    if (first.bytes == 0) break;
    at += first.bytes;
    gap = first.kind;
    if (const Separator second = separator_at(text, at); second.bytes > 0) {
      at += second.bytes;
      if (gap == ' ') gap = second.kind;
    }
    if (!is_alnum(at_or_zero(text, at))) break;
  }
  return run;
}

}  // namespace hearth::privacy
