#include "text/unicode_class.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <vector>

namespace hearth::text {
namespace {

struct CodePointRange {
  char32_t first, last;
};

#include "text/unicode_ranges.inc"

// The White_Space property; it has not grown since Unicode 6.3.
constexpr CodePointRange kSpaces[] = {
    {0x09, 0x0D},     {0x20, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},     {0x1680, 0x1680},
    {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000},
};

template <std::size_t N>
void mark(std::vector<std::uint8_t>& classes, const CodePointRange (&ranges)[N],
          std::uint8_t bits) {
  for (const auto& range : ranges) {
    for (char32_t c = range.first; c <= range.last; ++c) classes[c] |= bits;
  }
}

// One byte per code point up to the last that has a class.
std::vector<std::uint8_t> build_classes() {
  const char32_t last = std::max(std::end(kLetters)[-1].last, std::end(kNumbers)[-1].last);
  std::vector<std::uint8_t> classes(last + 1);
  mark(classes, kLetters, kLetter);
  mark(classes, kNumbers, kNumber);
  mark(classes, kSpaces, kSpace);
  return classes;
}

}  // namespace

std::uint8_t char_class(char32_t code_point) {
  if (code_point < 0x80) return detail::kAsciiClass[code_point];
  static const std::vector<std::uint8_t> classes = build_classes();
  return code_point < classes.size() ? classes[code_point] : std::uint8_t{kOther};
}

namespace detail {
namespace {

constexpr std::array<std::uint8_t, 128> ascii_classes() {
  std::array<std::uint8_t, 128> classes{};
  for (char c = 'a'; c <= 'z'; ++c) classes[static_cast<std::size_t>(c)] = kLetter;
  for (char c = 'A'; c <= 'Z'; ++c) classes[static_cast<std::size_t>(c)] = kLetter;
  for (char c = '0'; c <= '9'; ++c) classes[static_cast<std::size_t>(c)] = kNumber;
  for (const char c : {'\t', '\v', '\f', ' '}) classes[static_cast<std::size_t>(c)] = kSpace;
  for (const char c : {'\r', '\n'}) classes[static_cast<std::size_t>(c)] = kSpace | kNewline;
  return classes;
}

}  // namespace

constinit const std::array<std::uint8_t, 128> kAsciiClass = ascii_classes();

}  // namespace detail
}  // namespace hearth::text
