// Cases at which a kernel is tried: sizes within its preconditions, values within its ranges.
//
// Kernels that are right for one size and wrong for others are wrong where sizes are odd: at 0 and
// 1, at primes, beside powers of two, and where they are large.  So each kind of size is drawn, as
// far as the preconditions let it.
//
// Everything comes from one seed, by a generator of our own: the same seed is the same case
// wherever it is drawn, which makes receipts replayable.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "compute/case.h"
#include "compute/contract.h"

namespace hearth::compute {

// xoshiro256**, seeded by splitmix64.  (Blackman and Vigna, 2018.)
class Dice {
 public:
  explicit Dice(std::uint64_t seed);
  std::uint64_t next();
  std::int64_t between(std::int64_t low, std::int64_t high);  // Both included; low <= high.
  double unit();                                              // [0, 1)
  bool coin() { return (next() >> 63) != 0; }

 private:
  std::uint64_t state_[4];
};

enum class Sizes : std::uint8_t { kMixed, kOnes, kEmpty, kPrimes, kPowers, kBesidePowers, kHuge };
inline constexpr std::uint8_t kSizeKinds = 7;
std::string_view sizes_name(Sizes sizes);

enum class Values : std::uint8_t {
  kEven,     // Evenly over the range.
  kWide,     // Magnitudes over many powers of two; evenly where a range is given.
  kCorners,  // The range's ends, zeros of both signs and ones.
};

struct DrawLimits {
  std::int64_t bytes_max = std::int64_t{4} << 20;  // Of all tensors of a case.
  std::int64_t work_max = 20'000'000;              // Flops, or the product of all sizes.
};

// kNotFound where no sizes of that kind fit the preconditions and the limits.
Result<std::vector<std::int64_t>> draw_sizes(const Contract& contract, Sizes sizes,
                                             const DrawLimits& limits, Dice& dice);

// A tensor that the kernel reads, full of values within its range; one that it only writes, of
// zeros.
Result<TensorData> draw_tensor(const Contract& contract, const Parameter& parameter,
                               std::span<const std::int64_t> symbols, Values values, Dice& dice);
// A scalar within its range.
Result<double> draw_scalar(const Contract& contract, const Parameter& parameter,
                           std::span<const std::int64_t> symbols, Values values, Dice& dice);

// A case at these values of the symbols.  kInvalidArgument where a shape can't be or is above the
// limit.
Result<Case> draw_case(const Contract& contract, const std::vector<std::int64_t>& symbols,
                       Values values, Dice& dice);

// The symbols' values for the contract's bench, or, without one, sizes whose tensors take some
// `bytes`.
Result<std::vector<std::int64_t>> bench_sizes(const Contract& contract, std::int64_t bytes);

// Inputs moved by half a unit in the last place of their type, in directions that `dice` says: how
// much an oracle's results move shows their condition.  In place, on an oracle's case; `native` has
// the types.
void nudge(const Case& native, Case& oracle, const Signature& signature, bool all_up, Dice& dice);

// One element of one input made another, within its range; false where there is nothing to change.
bool change_one_element(const Contract& contract, Case& of, Dice& dice);

}  // namespace hearth::compute
