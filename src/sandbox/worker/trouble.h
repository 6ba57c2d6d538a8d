// A sentence in the making: why something was refused.
//
// The jailed program has no strings and no allocation, so a sentence is a buffer that is cut when
// it is full, and functions that can fail return false and leave one.
#pragma once

#include <cstdint>
#include <string_view>

#include "sandbox/protocol.h"

namespace hearth::sandbox {

// Text from an image or another stranger: shown up to 60 characters, what is not printable as '?'.
struct Foreign {
  const char* text;
};

struct Hex {
  std::uint64_t value;
};

class Trouble {
 public:
  const char* text() const { return text_; }
  bool any() const { return n_ != 0; }

  void add(std::string_view piece) {
    for (const char c : piece) put(c);
  }
  void add(const char* piece) { add(std::string_view(piece)); }
  void add(Foreign foreign) {
    for (int i = 0; i < 60 && foreign.text[i] != 0; ++i) {
      put(foreign.text[i] >= ' ' && foreign.text[i] <= '~' ? foreign.text[i] : '?');
    }
  }
  void add(std::uint64_t number) { add_digits(number, 10); }
  void add(std::uint32_t number) { add_digits(number, 10); }
  void add(int number) {
    if (number < 0) put('-');
    add_digits(
        number < 0 ? 0 - static_cast<std::uint64_t>(number) : static_cast<std::uint64_t>(number),
        10);
  }
  void add(Hex hex) {
    add("0x");
    add_digits(hex.value, 16);
  }

 private:
  void put(char c) {
    if (n_ + 1 < sizeof text_) text_[n_++] = c;
  }
  void add_digits(std::uint64_t number, std::uint64_t base) {
    char digits[20];
    int n = 0;
    do {
      digits[n++] = "0123456789abcdef"[number % base];
      number /= base;
    } while (number != 0);
    while (n > 0) put(digits[--n]);
  }

  char text_[kSentenceBytes] = {};
  std::uint32_t n_ = 0;
};

// Writes the sentence that `pieces` make; false, for `return refuse(trouble, ...)`.
template <class... Pieces>
bool refuse(Trouble& trouble, Pieces... pieces) {
  trouble = Trouble();
  (trouble.add(pieces), ...);
  return false;
}

}  // namespace hearth::sandbox
