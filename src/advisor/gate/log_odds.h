// Probabilities as log-odds, in which evidence adds up.
#pragma once

#include <algorithm>
#include <cmath>

namespace hearth::advisor::gate {

inline double logistic(double log_odds) { return 1 / (1 + std::exp(-log_odds)); }

// Of `p`, which is taken for no surer than `margin` from 0 and 1.
inline double log_odds(double p, double margin) {
  p = std::clamp(p, margin, 1 - margin);
  return std::log(p / (1 - p));
}

}  // namespace hearth::advisor::gate
