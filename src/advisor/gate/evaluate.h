// What a gate is worth on recorded answers, beside rankings that need no fitting.
//
// A gate must not be judged by rows that it learned from.  Rows that it never saw are judged as they are; if
// too few of them are left, the gate's kind is judged instead: random halves of the rows, each judged by a
// gate fitted on the other.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "advisor/gate/curve.h"
#include "advisor/gate/gate_model.h"
#include "advisor/gate/pair_row.h"

namespace hearth::advisor::gate {

enum class Method : std::uint8_t {
  kPriors,          // The gate was never calibrated.
  kHeldOut,         // By rows that it never saw.
  kCrossValidated,  // By halves, since it was calibrated on these rows.
};
const char* method_name(Method method);

struct Figure {
  double value = 0;
  Interval interval;     // Central 95 % of bootstrap draws.
  double deviation = 0;  // Among the halves; 0 but for kCrossValidated.
};

struct Baseline {
  std::string name;
  CurveFigures figures;
};

struct Evaluation {
  Method method = Method::kPriors;
  std::size_t n_rows = 0;      // That were judged.
  std::size_t n_left_out = 0;  // Since the gate had learned from them.
  double local_quality = 0, adviser_quality = 0;
  Figure auroc, apgr, cpt50, cpt80;  // AUROC: of p_wrong for wrong local answers.
  double calibration_error = 0;      // Of p_wrong: mean distance from what came true, in ten equal parts.
  std::vector<Baseline> baselines;   // random, category, disagreement, oracle.
};

// Splits of the rows into halves, for kCrossValidated.
inline constexpr std::size_t kSplits = 5;

// Called with each share of the work that is done, in [0, 1]; from the caller's thread.
using Progress = std::function<void(double)>;

// `learned` are the keys of the rows that `gate` was fitted on.  kInvalidArgument where there is nothing to
// measure: no rows, or an adviser that is no better than the local model.
Result<Evaluation> evaluate(std::span<const PairRow> rows, const GateModel& gate,
                            const std::set<std::uint64_t>& learned, const Progress& progress = {});

nlohmann::ordered_json to_json(const Evaluation& evaluation);

}  // namespace hearth::advisor::gate
