// Recorded answers to questions whose truth is known: what the gate is calibrated on and judged by.
//
// One JSON object per line:
//
//   {"id": 7446, "category": "economics", "question": "...", "options": ["...", ...],
//    "local":  {"model": "...", "answer": "A", "text": "...", "chars": 318, "correct": true},
//    "second": {"answer": "A", "chars": 340, "correct": true},
//    "cloud":  {"answer": "A", "correct": true}}
//
// An answer is the letter of an option; null where none was found.  `second` may be left out.  The two
// halves of a row are kept apart: a gate sees Asked and never Outcome until it learns.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::advisor::gate {

// An option's index; unset: none was found.
using Choice = std::optional<std::uint32_t>;

// What is known before anything leaves.
struct Asked {
  std::string kind;
  std::string question;
  std::vector<std::string> options;  // Empty for an open question.
  std::string local_text;            // As much of the local answer as was kept.
  std::uint64_t local_chars = 0;     // Of the whole answer.
  Choice local;
  bool has_second = false;  // A second small local model answered as well.
  std::uint64_t second_chars = 0;
  Choice second;
};

// What came of it.
struct Outcome {
  bool is_local_right = false;
  bool is_second_right = false;
  bool is_adviser_right = false;
  Choice adviser;

  double gain() const {
    return static_cast<double>(is_adviser_right) - static_cast<double>(is_local_right);
  }
};

struct PairRow {
  std::uint64_t key = 0;  // Of question and options: tells rows that were learned from.
  std::string local_model;
  Asked asked;
  Outcome outcome;
};

inline constexpr std::size_t kPairFileBytesMax = std::size_t{256} << 20;
inline constexpr std::size_t kPairRowsMax = 100'000;
inline constexpr std::size_t kPairOptionsMax = 26;
inline constexpr std::size_t kPairTextBytesMax = std::size_t{64} << 10;  // Of each text.

// kInvalidArgument names the line and what it lacks; blank lines are skipped.
Result<std::vector<PairRow>> parse_pair_rows(std::string_view json_lines);

}  // namespace hearth::advisor::gate
