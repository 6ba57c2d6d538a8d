// See unicode.h.  ASCII takes the short way everywhere; the tables answer for the rest by
// binary search.
#include "text/jinja/unicode.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <vector>

#include "base/utf8.h"

namespace hearth::text::jinja {

namespace {

struct FlagRange {
  char32_t first, last;
  std::uint16_t flags;
};

// Every `step`-th code point from first to last maps to itself plus `delta`.
struct CaseRange {
  char32_t first, last;
  std::int32_t step, delta;
};

struct CaseSpecial {
  char32_t from;
  char32_t to[3];  // Ends at the first 0.
};

#include "text/jinja/unicode_tables.inc"

struct CaseTable {
  std::span<const CaseRange> ranges;
  std::span<const CaseSpecial> specials;
};

constexpr CaseTable kUpperTable{kUpperRanges, kUpperSpecials};
constexpr CaseTable kLowerTable{kLowerRanges, kLowerSpecials};
constexpr CaseTable kTitleTable{kTitleRanges, kTitleSpecials};
constexpr CaseTable kFoldTable{kFoldRanges, kFoldSpecials};

std::uint16_t search_flags(char32_t code_point) {
  const auto* range =
      std::lower_bound(std::begin(kFlagRanges), std::end(kFlagRanges), code_point,
                       [](const FlagRange& candidate, char32_t c) { return candidate.last < c; });
  return range != std::end(kFlagRanges) && code_point >= range->first ? range->flags : 0;
}

constexpr char32_t kAsciiEnd = 0x80;
constexpr char32_t kBasicPlaneEnd = 0x10000;

// The ranges spread out, 128 KiB: texts ask for every one of their characters.
const std::vector<std::uint16_t>& basic_plane_flags() {
  static const auto table = [] {
    std::vector<std::uint16_t> flags(kBasicPlaneEnd);
    for (const FlagRange& range : kFlagRanges) {
      for (char32_t c = range.first; c <= range.last && c < kBasicPlaneEnd; ++c) {
        flags[c] = range.flags;
      }
    }
    return flags;
  }();
  return table;
}

bool append_special(std::string& out, char32_t code_point, const CaseTable& table) {
  const auto special =
      std::lower_bound(table.specials.begin(), table.specials.end(), code_point,
                       [](const CaseSpecial& candidate, char32_t c) { return candidate.from < c; });
  if (special == table.specials.end() || special->from != code_point) return false;
  for (char32_t to : special->to) {
    if (to != 0) append_utf8(out, to);
  }
  return true;
}

void append_mapped(std::string& out, char32_t code_point, const CaseTable& table) {
  const auto range =
      std::lower_bound(table.ranges.begin(), table.ranges.end(), code_point,
                       [](const CaseRange& candidate, char32_t c) { return candidate.last < c; });
  const bool mapped = range != table.ranges.end() && code_point >= range->first &&
                      static_cast<std::int32_t>(code_point - range->first) % range->step == 0;
  if (mapped) {
    append_utf8(out, static_cast<char32_t>(static_cast<std::int32_t>(code_point) + range->delta));
  } else if (!append_special(out, code_point, table)) {
    append_utf8(out, code_point);
  }
}

// Calls visit(code_point, byte_offset) for each code point.
template <class Visit>
void for_each_char(std::string_view text, Visit&& visit) {
  for (std::size_t i = 0; i < text.size();) {
    const Utf8Char c = decode_utf8(text.substr(i));
    visit(c.code_point, i);
    i += c.length;
  }
}

constexpr char32_t kCapitalSigma = 0x3A3;
constexpr char32_t kSmallSigma = 0x3C3;
constexpr char32_t kFinalSigma = 0x3C2;

bool cased_before(std::string_view text, std::size_t offset) {
  while (offset > 0) {
    offset = last_char_offset(text.substr(0, offset));
    const std::uint16_t flags = char_flags(decode_utf8(text.substr(offset)).code_point);
    if (!(flags & kCaseIgnorable)) return (flags & kCased) != 0;
  }
  return false;
}

bool cased_after(std::string_view text, std::size_t offset) {
  while (offset < text.size()) {
    const Utf8Char c = decode_utf8(text.substr(offset));
    const std::uint16_t flags = char_flags(c.code_point);
    if (!(flags & kCaseIgnorable)) return (flags & kCased) != 0;
    offset += c.length;
  }
  return false;
}

// Unicode's one context rule: a capital sigma that ends a word becomes the final one.
void append_lower_in(std::string& out, std::string_view text, char32_t code_point,
                     std::size_t offset) {
  if (code_point != kCapitalSigma) return append_lower(out, code_point);
  const bool ends_word = cased_before(text, offset) && !cased_after(text, offset + 2);
  append_utf8(out, ends_word ? kFinalSigma : kSmallSigma);
}

bool is_ascii_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_ascii_upper(char c) { return c >= 'A' && c <= 'Z'; }
char ascii_upper(char c) { return is_ascii_lower(c) ? static_cast<char>(c - 32) : c; }
char ascii_lower(char c) { return is_ascii_upper(c) ? static_cast<char>(c + 32) : c; }

template <class Convert>
std::string map_ascii(std::string_view text, Convert&& convert) {
  std::string out(text);
  for (char& c : out) c = convert(c);
  return out;
}

// The code points of a text, to look single ones up.
class CharSet {
 public:
  explicit CharSet(std::string_view chars) {
    for_each_char(chars, [&](char32_t c, std::size_t) { chars_.push_back(c); });
    std::sort(chars_.begin(), chars_.end());
  }
  bool holds(std::string_view one) const {
    return std::binary_search(chars_.begin(), chars_.end(), decode_utf8(one).code_point);
  }

 private:
  std::vector<char32_t> chars_;
};

template <class IsStripped>
std::string_view strip_left_if(std::string_view text, IsStripped&& is_stripped) {
  while (!text.empty()) {
    const std::string_view first = char_at(text, 0);
    if (!is_stripped(first)) break;
    text.remove_prefix(first.size());
  }
  return text;
}

template <class IsStripped>
std::string_view strip_right_if(std::string_view text, IsStripped&& is_stripped) {
  while (!text.empty()) {
    const std::size_t last = last_char_offset(text);
    if (!is_stripped(text.substr(last))) break;
    text = text.substr(0, last);
  }
  return text;
}

bool is_space(std::string_view one) { return has_flag(decode_utf8(one).code_point, kSpace); }

}  // namespace

std::uint16_t char_flags(char32_t code_point) {
  if (code_point < kBasicPlaneEnd) return basic_plane_flags()[code_point];
  return search_flags(code_point);
}

bool is_ascii(std::string_view text) {
  unsigned char any = 0;
  for (char c : text) any = static_cast<unsigned char>(any | static_cast<unsigned char>(c));
  return any < kAsciiEnd;
}

std::size_t char_count(std::string_view text) {
  std::size_t continuation = 0;
  for (char c : text) continuation += (static_cast<unsigned char>(c) & 0xC0u) == 0x80u;
  return text.size() - continuation;
}

std::size_t byte_offset(std::string_view text, std::size_t index) {
  if (index >= text.size()) return text.size();
  // Whole blocks first: counting one is a few vector instructions.
  constexpr std::size_t kBlockBytes = 128;
  std::size_t offset = 0;
  while (offset + kBlockBytes <= text.size()) {
    const std::size_t in_block = char_count(text.substr(offset, kBlockBytes));
    if (in_block > index) break;
    index -= in_block;
    offset += kBlockBytes;
  }
  const auto is_start = [&](std::size_t at) {
    return (static_cast<unsigned char>(text[at]) & 0xC0u) != 0x80u;
  };
  for (; offset < text.size(); ++offset) {
    if (!is_start(offset)) continue;
    if (index == 0) return offset;
    --index;
  }
  return offset;
}

std::string_view char_at(std::string_view text, std::size_t offset) {
  return text.substr(offset, decode_utf8(text.substr(offset)).length);
}

std::size_t last_char_offset(std::string_view text) {
  std::size_t offset = text.size() - 1;
  while (offset > 0 && (static_cast<unsigned char>(text[offset]) & 0xC0u) == 0x80u) --offset;
  return offset;
}

void append_upper(std::string& out, char32_t code_point) {
  append_mapped(out, code_point, kUpperTable);
}

void append_lower(std::string& out, char32_t code_point) {
  append_mapped(out, code_point, kLowerTable);
}

std::string to_upper(std::string_view text) {
  if (is_ascii(text)) return map_ascii(text, ascii_upper);
  std::string out;
  for_each_char(text, [&](char32_t c, std::size_t) { append_upper(out, c); });
  return out;
}

std::string to_lower(std::string_view text) {
  if (is_ascii(text)) return map_ascii(text, ascii_lower);
  std::string out;
  for_each_char(text, [&](char32_t c, std::size_t at) { append_lower_in(out, text, c, at); });
  return out;
}

std::string to_title(std::string_view text) {
  std::string out;
  bool in_word = false;
  for_each_char(text, [&](char32_t c, std::size_t at) {
    if (in_word) {
      append_lower_in(out, text, c, at);
    } else {
      append_mapped(out, c, kTitleTable);
    }
    in_word = has_flag(c, kCased);
  });
  return out;
}

std::string to_casefold(std::string_view text) {
  std::string out;
  for_each_char(text, [&](char32_t c, std::size_t) { append_mapped(out, c, kFoldTable); });
  return out;
}

std::string to_swapcase(std::string_view text) {
  std::string out;
  for_each_char(text, [&](char32_t c, std::size_t at) {
    const std::uint16_t flags = char_flags(c);
    if (flags & kUpper) {
      append_lower_in(out, text, c, at);
    } else if (flags & kLower) {
      append_upper(out, c);
    } else {
      append_utf8(out, c);
    }
  });
  return out;
}

std::string to_capitalized(std::string_view text) {
  std::string out;
  for_each_char(text, [&](char32_t c, std::size_t at) {
    if (at == 0) {
      append_mapped(out, c, kTitleTable);
    } else {
      append_lower_in(out, text, c, at);
    }
  });
  return out;
}

std::string_view strip_left(std::string_view text) { return strip_left_if(text, is_space); }

std::string_view strip_left(std::string_view text, std::string_view chars) {
  const CharSet set(chars);
  return strip_left_if(text, [&](std::string_view one) { return set.holds(one); });
}

std::string_view strip_right(std::string_view text) { return strip_right_if(text, is_space); }

std::string_view strip_right(std::string_view text, std::string_view chars) {
  const CharSet set(chars);
  return strip_right_if(text, [&](std::string_view one) { return set.holds(one); });
}

}  // namespace hearth::text::jinja
