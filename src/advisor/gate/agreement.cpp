#include "advisor/gate/agreement.h"

#include <algorithm>
#include <cmath>

#include "advisor/gate/text_signals.h"

namespace hearth::advisor::gate {
namespace {

constexpr double kCommonMin = 2.0 / 3;
constexpr double kNumbersEqual = 1e-6;  // Relative.

}  // namespace

bool answers_agree(std::string_view a, std::string_view b) {
  const int choice_a = stated_choice(a), choice_b = stated_choice(b);
  if (choice_a >= 0 && choice_b >= 0) return choice_a == choice_b;
  const std::vector<double> numbers_a = numbers_of(a), numbers_b = numbers_of(b);
  if (!numbers_a.empty() && !numbers_b.empty()) {
    const double x = numbers_a.back(), y = numbers_b.back();
    return std::abs(x - y) <= kNumbersEqual * std::max({std::abs(x), std::abs(y), 1.0});
  }
  const Features words_a = distinct(words_of(a)), words_b = distinct(words_of(b));
  const std::size_t shorter = std::min(words_a.size(), words_b.size());
  return shorter > 0 && static_cast<double>(n_common(words_a, words_b)) >= kCommonMin * static_cast<double>(shorter);
}

}  // namespace hearth::advisor::gate
