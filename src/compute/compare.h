// How far a kernel's results are from the oracle's, in units that mean the same everywhere.
//
// The unit of an element is one unit in the last place of the oracle's value, in the kernel's type,
// plus what that value moves at most when every input moves by half such a unit, up or down: its
// condition.  A dot product that cancels has few good digits left however it is computed, and there
// a kernel may be as far off as its inputs' last bits are; where nothing cancels, nothing is given
// away.  (Higham, Accuracy and Stability of Numerical Algorithms, 1.6: forward error <= condition x
// backward error.)
//
// Integers are equal or wrong.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "compute/case.h"

namespace hearth::compute {

// Upper ends of the classes of errors, in units; the last class has no end.
inline constexpr std::array<double, 11> kErrorClasses = {0,  0.5, 1,   2,    4,    8,
                                                         16, 64,  256, 1024, 65536};

struct ErrorHistogram {
  std::array<std::uint64_t, kErrorClasses.size() + 1> counts{};
  double max_units = 0;
  std::uint64_t n_elements = 0;

  void add(double units);
  void add(const ErrorHistogram& other);
};

// An element that is further off than any other.
struct Worst {
  std::size_t output = 0;  // Which of the outputs.
  std::int64_t element = 0;
  double units = 0;
  double found = 0, expected = 0;
};

struct Comparison {
  ErrorHistogram histogram;
  std::optional<Worst> worst;  // Where anything differs at all.
};

// What the oracle says of a case: its results in f64 (integers as they are), and how far each
// moves.
struct Reference {
  std::vector<TensorData> outputs;
  std::vector<std::vector<double>> condition;  // One for each output of floats, else empty.
};

// `found` has the kernel's types.
Comparison compare(std::span<const TensorData> found, const Reference& reference);

// An oracle's results rounded to the kernel's types.
std::vector<TensorData> round_to(std::span<const TensorData> results,
                                 std::span<const ElementType> types);

// One unit in the last place of `value` in this type of floats; never below that of the least
// normal one.
double ulp_of(ElementType type, double value);

// "out[3, 5] is 0.5 where the oracle says 0.25: 1200 units in the last place off, 4 allowed".
std::string sentence_of(const Worst& worst, const Parameter& parameter, const TensorData& tensor,
                        std::int64_t allowed);

}  // namespace hearth::compute
