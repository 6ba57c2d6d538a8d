// How well a ranking of questions spends calls: RouteLLM's measures (Ong et al. 2024, arXiv 2406.18665).
//
// The questions are given to the adviser in the order of their scores, highest first.  With a share c of
// them given away, quality is the share of right answers, the adviser's where it was asked and the local
// model's elsewhere.  Over c this is a curve from the local model's quality to the adviser's;
//
//     APGR  = (area under the curve - local) / (adviser - local)     random order: 1/2
//     CPT50 = the least c that recovers half of the gap, CPT80 = 80 % of it
//
// Questions of equal score come in a fixed pseudo-random order, so that ties earn what chance earns.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"

namespace hearth::advisor::gate {

// What a question's answers were worth; `gain` is what asking would have changed: -1, 0 or 1.
struct Scored {
  double score = 0;  // Higher: ask sooner.
  double gain = 0;
  double p_wrong = 0;  // Of the local answer.
  bool is_local_wrong = false;
};

struct CurveFigures {
  double apgr = 0, cpt50 = 0, cpt80 = 0;
};

// Unset where the adviser is not better than the local model: there is no gap to recover.
std::optional<CurveFigures> curve_figures(std::span<const Scored> rows);

// Of p_wrong against is_local_wrong: the probability that a wrong answer ranks above a right one,
// ties counting half.  Unset if all are right, or all wrong.
std::optional<double> auroc(std::span<const Scored> rows);

struct Interval {
  double low = 0, high = 0;
};

// The central 95 % of `figure` over `n_resamples` draws with replacement.  Draws of which the figure is
// unset count for nothing.
Interval bootstrap(std::span<const Scored> rows,
                   const std::function<std::optional<double>(std::span<const Scored>)>& figure,
                   std::size_t n_resamples = 400);

}  // namespace hearth::advisor::gate
