#include "advisor/gate/curve.h"

#include <algorithm>
#include <numeric>

#include "advisor/gate/fixed_random.h"

namespace hearth::advisor::gate {
namespace {

std::vector<std::size_t> ranked(std::span<const Scored> rows) {
  std::vector<std::size_t> order(rows.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  FixedRandom(1).shuffle(order);
  std::ranges::stable_sort(order, std::ranges::greater{}, [&](std::size_t i) { return rows[i].score; });
  return order;
}

}  // namespace

std::optional<CurveFigures> curve_figures(std::span<const Scored> rows) {
  double gap = 0;
  for (const Scored& row : rows) gap += row.gain;
  if (gap <= 0) return std::nullopt;

  const double n = static_cast<double>(rows.size());
  CurveFigures figures;
  double gained = 0, asked = 0;
  for (const std::size_t i : ranked(rows)) {
    const double before = gained;
    gained += rows[i].gain;
    ++asked;
    figures.apgr += (before + gained) / 2 / n / gap;  // A trapezium.
    if (figures.cpt50 == 0 && gained >= 0.5 * gap) figures.cpt50 = asked / n;
    if (figures.cpt80 == 0 && gained >= 0.8 * gap) figures.cpt80 = asked / n;
  }
  return figures;
}

std::optional<double> auroc(std::span<const Scored> rows) {
  std::vector<std::size_t> order(rows.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t i) { return rows[i].p_wrong; });
  double n_wrong = 0, n_right_below = 0, wins = 0;
  for (std::size_t i = 0; i < order.size();) {
    double wrong = 0, right = 0;
    const double tie = rows[order[i]].p_wrong;
    for (; i < order.size() && rows[order[i]].p_wrong == tie; ++i) {
      (rows[order[i]].is_local_wrong ? wrong : right) += 1;
    }
    wins += wrong * (n_right_below + right / 2);
    n_wrong += wrong;
    n_right_below += right;
  }
  if (n_wrong == 0 || n_right_below == 0) return std::nullopt;
  return wins / n_wrong / n_right_below;
}

Interval bootstrap(std::span<const Scored> rows,
                   const std::function<std::optional<double>(std::span<const Scored>)>& figure,
                   std::size_t n_resamples) {
  FixedRandom random(2);
  std::vector<double> values;
  std::vector<Scored> drawn(rows.size());
  for (std::size_t k = 0; k < n_resamples && !rows.empty(); ++k) {
    for (Scored& row : drawn) row = rows[random.below(rows.size())];
    if (const auto value = figure(drawn)) values.push_back(*value);
  }
  if (values.empty()) return {};
  std::ranges::sort(values);
  const auto at = [&](double share) {
    return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
  };
  return {at(0.025), at(0.975)};
}

}  // namespace hearth::advisor::gate
