// A fixed sequence of pseudo-random numbers: what is fitted or resampled must not depend on the day.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace hearth::advisor::gate {

// Xorshift (Marsaglia 2003).
class FixedRandom {
 public:
  explicit FixedRandom(std::uint64_t seed = 0) : state_(0x2545F4914F6CDD1DULL ^ (seed * 0x9E3779B97F4A7C15ULL)) {
    if (state_ == 0) state_ = 1;
    for (int i = 0; i < 4; ++i) next();  // Neighbouring seeds part ways.
  }

  std::uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    return state_ ^= state_ << 17;
  }
  // In [0, n); n is at least 1.
  std::size_t below(std::size_t n) { return static_cast<std::size_t>((next() >> 11) % n); }

  template <class T>
  void shuffle(std::vector<T>& items) {
    for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }

 private:
  std::uint64_t state_;
};

}  // namespace hearth::advisor::gate
