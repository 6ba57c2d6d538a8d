// Sets of Unicode scalar values, and the UTF-8 byte sequences that spell them.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <vector>

namespace hearth::text::grammar {

inline constexpr char32_t kCodePointMax = 0x10FFFF;

struct CodePointRange {
  char32_t first;
  char32_t last;  // Inclusive.
  bool operator==(const CodePointRange&) const = default;
};

// Surrogates are no scalar values: they never enter a set.
class CodePoints {
 public:
  CodePoints() = default;
  CodePoints(std::initializer_list<CodePointRange> ranges);
  static CodePoints any();

  void add(char32_t first, char32_t last);
  void add(const CodePoints& other);
  CodePoints without(const CodePoints& other) const;
  CodePoints complement() const { return any().without(*this); }

  bool contains(char32_t code_point) const;
  bool empty() const { return ranges_.empty(); }
  // Ascending, neither overlapping nor touching.
  const std::vector<CodePointRange>& ranges() const { return ranges_; }

 private:
  std::vector<CodePointRange> ranges_;
};

struct ByteRange {
  std::uint8_t first;
  std::uint8_t last;  // Inclusive.
};

// The product of `length` byte ranges.
struct ByteSequence {
  std::array<ByteRange, 4> bytes;
  std::uint8_t length;
};

// Appends sequences that together match exactly the UTF-8 forms of [first, last]: at most 11, since
// a range is cut where the length changes and where a continuation byte has not its full range.
void append_utf8_sequences(CodePointRange range, std::vector<ByteSequence>& out);

}  // namespace hearth::text::grammar
