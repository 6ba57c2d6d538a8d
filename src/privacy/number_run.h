// Digits and letters of a number as people write it, with single separators between groups:
// "4111 1111-1111.1111", "DE89 3704 0044 ...".
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hearth::privacy {

inline constexpr std::size_t kRunCharsMax = 40;

struct NumberRun {
  std::array<char, kRunCharsMax> chars;         // Letters in upper case.
  std::array<std::size_t, kRunCharsMax> begins;  // Offset of each.
  std::array<char, kRunCharsMax> gaps;          // What stands before each: '\0' for nothing.
  std::size_t size = 0;
  std::size_t n_digits = 0;  // Of the digits that it begins with.
  bool is_cut = false;       // It goes on past kRunCharsMax.

  std::string_view text(std::size_t length) const { return {chars.data(), length}; }
  std::size_t end(std::size_t length) const { return begins[length - 1] + 1; }
  // Whether no letter or digit follows the first `length` characters directly.
  bool ends_after(std::size_t length) const {
    return length == size ? !is_cut : gaps[length] != '\0';
  }
};

// From `at`, which must hold a letter or a digit.  A separator is one or two of space, hyphen, dot,
// slash and their Unicode kin, on one line.
NumberRun read_run(std::string_view text, std::size_t at);

}  // namespace hearth::privacy
