#include "text/grammar/code_points.h"

#include <algorithm>

namespace hearth::text::grammar {
namespace {

constexpr char32_t kSurrogateFirst = 0xD800;
constexpr char32_t kSurrogateLast = 0xDFFF;
constexpr std::array<char32_t, 4> kLastOfLength = {0x7F, 0x7FF, 0xFFFF, kCodePointMax};

std::size_t encode(char32_t code_point, std::array<std::uint8_t, 4>& out) {
  const auto length = static_cast<std::size_t>(std::ranges::lower_bound(kLastOfLength, code_point) -
                                               kLastOfLength.begin() + 1);
  static constexpr std::array<std::uint8_t, 4> kLead = {0x00, 0xC0, 0xE0, 0xF0};
  for (std::size_t i = length; i-- > 1; code_point >>= 6) {
    out[i] = static_cast<std::uint8_t>(0x80 | (code_point & 0x3F));
  }
  out[0] = static_cast<std::uint8_t>(kLead[length - 1] | code_point);
  return length;
}

// [first, last] has one length; cuts it until all but one of the bytes are constant or full ranges.
void append_of_one_length(char32_t first, char32_t last, std::size_t n_tail_bits,
                          std::vector<ByteSequence>& out) {
  for (std::size_t bits = 6; bits <= n_tail_bits; bits += 6) {
    const char32_t mask = (char32_t{1} << bits) - 1;
    if ((first & ~mask) == (last & ~mask)) break;
    if ((first & mask) != 0) {
      append_of_one_length(first, first | mask, n_tail_bits, out);
      return append_of_one_length((first | mask) + 1, last, n_tail_bits, out);
    }
    if ((last & mask) != mask) {
      append_of_one_length(first, (last & ~mask) - 1, n_tail_bits, out);
      return append_of_one_length(last & ~mask, last, n_tail_bits, out);
    }
  }
  std::array<std::uint8_t, 4> low{};
  std::array<std::uint8_t, 4> high{};
  ByteSequence sequence{};
  sequence.length = static_cast<std::uint8_t>(encode(first, low));
  encode(last, high);
  for (std::size_t i = 0; i < sequence.length; ++i) sequence.bytes[i] = {low[i], high[i]};
  out.push_back(sequence);
}

}  // namespace

CodePoints::CodePoints(std::initializer_list<CodePointRange> ranges) {
  for (const CodePointRange& range : ranges) add(range.first, range.last);
}

CodePoints CodePoints::any() { return {{0, kCodePointMax}}; }

void CodePoints::add(char32_t first, char32_t last) {
  last = std::min(last, kCodePointMax);
  if (first < kSurrogateFirst && last >= kSurrogateFirst) {
    add(first, kSurrogateFirst - 1);
    first = kSurrogateLast + 1;
  } else if (first >= kSurrogateFirst && first <= kSurrogateLast) {
    first = kSurrogateLast + 1;
  }
  if (last >= kSurrogateFirst && last <= kSurrogateLast) last = kSurrogateFirst - 1;
  if (first > last) return;

  // Swallow every range that overlaps or touches the new one.
  const auto begin = std::ranges::lower_bound(ranges_, first, {},
                                              [](const CodePointRange& r) { return r.last + 1; });
  auto end = begin;
  for (; end != ranges_.end() && end->first <= last + 1; ++end) {
    first = std::min(first, end->first);
    last = std::max(last, end->last);
  }
  ranges_.insert(ranges_.erase(begin, end), {first, last});
}

void CodePoints::add(const CodePoints& other) {
  for (const CodePointRange& range : other.ranges_) add(range.first, range.last);
}

CodePoints CodePoints::without(const CodePoints& other) const {
  CodePoints out;
  for (const CodePointRange& range : ranges_) {
    char32_t first = range.first;
    for (const CodePointRange& hole : other.ranges_) {
      if (hole.last < first) continue;
      if (hole.first > range.last) break;
      if (hole.first > first) out.add(first, hole.first - 1);
      first = hole.last + 1;
    }
    if (first <= range.last) out.add(first, range.last);
  }
  return out;
}

bool CodePoints::contains(char32_t code_point) const {
  const auto range = std::ranges::lower_bound(ranges_, code_point, {}, &CodePointRange::last);
  return range != ranges_.end() && range->first <= code_point;
}

void append_utf8_sequences(CodePointRange range, std::vector<ByteSequence>& out) {
  char32_t first = range.first;
  for (std::size_t i = 0; i < kLastOfLength.size() && first <= range.last; ++i) {
    if (first > kLastOfLength[i]) continue;
    const char32_t last = std::min(range.last, kLastOfLength[i]);
    append_of_one_length(first, last, 6 * i, out);
    first = last + 1;
  }
}

}  // namespace hearth::text::grammar
