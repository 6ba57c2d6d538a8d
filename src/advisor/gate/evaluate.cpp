#include "advisor/gate/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "advisor/gate/fixed_random.h"

namespace hearth::advisor::gate {
namespace {

using Json = nlohmann::ordered_json;
using Rows = std::vector<const PairRow*>;

Scored scored(const PairRow& row, const Verdict& verdict) {
  return {.score = verdict.gain(),
          .gain = row.outcome.gain(),
          .p_wrong = verdict.p_wrong,
          .is_local_wrong = !row.outcome.is_local_right};
}

std::vector<Scored> judged(const Rows& rows, const GateModel& gate) {
  std::vector<Scored> all;
  for (const PairRow* row : rows) all.push_back(scored(*row, gate.judge(row->asked)));
  return all;
}

// Mean distance between what p_wrong said and how often it came true, over tenths of the rows by p_wrong.
double calibration_error(std::vector<Scored> rows) {
  constexpr std::size_t kParts = 10;
  std::ranges::sort(rows, {}, &Scored::p_wrong);
  double error = 0;
  for (std::size_t part = 0; part < kParts; ++part) {
    const std::size_t begin = rows.size() * part / kParts, end = rows.size() * (part + 1) / kParts;
    double difference = 0;
    for (std::size_t i = begin; i < end; ++i) difference += rows[i].p_wrong - (rows[i].is_local_wrong ? 1 : 0);
    error += std::abs(difference);
  }
  return error / static_cast<double>(std::max<std::size_t>(rows.size(), 1));
}

// ---- Figures -----------------------------------------------------------------------------------

struct FigureRow {
  Figure Evaluation::*figure;
  std::optional<double> (*of)(std::span<const Scored>);
};

template <double CurveFigures::*Field>
std::optional<double> curve_figure(std::span<const Scored> rows) {
  const auto figures = curve_figures(rows);
  return figures ? std::optional((*figures).*Field) : std::nullopt;
}

constexpr FigureRow kFigures[] = {
    {&Evaluation::auroc, [](std::span<const Scored> rows) { return auroc(rows); }},
    {&Evaluation::apgr, &curve_figure<&CurveFigures::apgr>},
    {&Evaluation::cpt50, &curve_figure<&CurveFigures::cpt50>},
    {&Evaluation::cpt80, &curve_figure<&CurveFigures::cpt80>},
};

// Each judged part on its own, and their mean; the interval is of the rows of the first split.
void measure(const std::vector<std::vector<Scored>>& parts, std::span<const Scored> rows, Evaluation& into) {
  for (const FigureRow& row : kFigures) {
    double sum = 0, squares = 0, n = 0;
    for (const std::vector<Scored>& part : parts) {
      const auto value = row.of(part);
      if (!value) continue;
      sum += *value;
      squares += *value * *value;
      ++n;
    }
    Figure& figure = into.*row.figure;
    figure.value = n > 0 ? sum / n : 0;
    figure.deviation = n > 1 ? std::sqrt(std::max(0.0, squares / n - figure.value * figure.value)) : 0;
    figure.interval = bootstrap(rows, row.of);
  }
  into.calibration_error = calibration_error({rows.begin(), rows.end()});
}

// ---- Baselines ---------------------------------------------------------------------------------

struct BaselineRow {
  const char* name;
  double (*score)(const PairRow& row, const GateModel& gate);
};

constexpr BaselineRow kBaselines[] = {
    {"random", [](const PairRow&, const GateModel&) { return 0.0; }},
    {"category",
     [](const PairRow& row, const GateModel& gate) {
       const KindRates rates = gate.rates(row.asked.kind);
       return Verdict{1 - rates.local_right, rates.adviser_helps, rates.adviser_harms}.gain();
     }},
    {"disagreement",
     [](const PairRow& row, const GateModel&) {
       return row.asked.has_second && row.asked.second != row.asked.local ? 1.0 : 0.0;
     }},
    {"oracle", [](const PairRow& row, const GateModel&) { return row.outcome.gain(); }},
};

// As the gate itself is judged: by parts, each with the gate that did not see it.
struct Part {
  Rows rows;
  GateModel gate;
};

void measure_baselines(const std::vector<Part>& parts, Evaluation& into) {
  for (const BaselineRow& baseline : kBaselines) {
    CurveFigures sum;
    double n = 0;
    for (const Part& part : parts) {
      std::vector<Scored> all;
      for (const PairRow* row : part.rows) all.push_back({.score = baseline.score(*row, part.gate), .gain = row->outcome.gain()});
      const auto figures = curve_figures(all);
      if (!figures) continue;
      sum.apgr += figures->apgr;
      sum.cpt50 += figures->cpt50;
      sum.cpt80 += figures->cpt80;
      ++n;
    }
    n = std::max(n, 1.0);
    into.baselines.push_back({baseline.name, {sum.apgr / n, sum.cpt50 / n, sum.cpt80 / n}});
  }
}

// ---- The two ways ------------------------------------------------------------------------------

Result<std::vector<Part>> fit_halves(const Rows& rows, const Progress& progress) {
  std::vector<Part> parts;
  for (std::size_t split = 0; split < kSplits; ++split) {
    Rows order = rows;
    FixedRandom(100 + split).shuffle(order);
    const auto middle = order.begin() + static_cast<std::ptrdiff_t>(order.size() / 2);
    const Rows first(order.begin(), middle), second(middle, order.end());
    for (const auto& [learned, left] : {std::pair(&first, &second), std::pair(&second, &first)}) {
      HEARTH_TRY(GateModel gate, GateModel::fit(*learned));
      parts.push_back({*left, std::move(gate)});
      if (progress) progress(static_cast<double>(parts.size()) / (2 * kSplits));
    }
  }
  return parts;
}

void judge_parts(const std::vector<Part>& parts, Evaluation& into) {
  std::vector<std::vector<Scored>> scores;
  std::vector<Scored> once;  // Every row once: of the first split's halves.
  for (const Part& part : parts) {
    scores.push_back(judged(part.rows, part.gate));
    if (scores.size() <= 2) once.insert(once.end(), scores.back().begin(), scores.back().end());
  }
  measure(scores, once, into);
  measure_baselines(parts, into);
}

Result<> check_gap(const Evaluation& evaluation) {
  if (evaluation.adviser_quality > evaluation.local_quality) return {};
  return fail(Code::kInvalidArgument,
              fmt::format("the adviser is right in {:.1f} % of {} rows and the local model in {:.1f} %: there is no "
                          "gap that asking could close",
                          100 * evaluation.adviser_quality, evaluation.n_rows, 100 * evaluation.local_quality));
}

Json figure_to_json(const Figure& figure) {
  return {{"low", figure.interval.low}, {"high", figure.interval.high}, {"deviation", figure.deviation}};
}

}  // namespace

const char* method_name(Method method) {
  if (method == Method::kPriors) return "priors";
  return method == Method::kHeldOut ? "held out" : "cross-validated";
}

Result<Evaluation> evaluate(std::span<const PairRow> rows, const GateModel& gate,
                            const std::set<std::uint64_t>& learned, const Progress& progress) {
  Rows all, fresh;
  for (const PairRow& row : rows) {
    all.push_back(&row);
    if (!learned.contains(row.key)) fresh.push_back(&row);
  }
  Evaluation made;
  const bool is_crossed = fresh.size() < all.size() && fresh.size() < GateModel::kRowsMin;
  made.method = is_crossed ? Method::kCrossValidated : gate.is_calibrated() ? Method::kHeldOut : Method::kPriors;
  if (is_crossed) fresh = all;
  made.n_rows = fresh.size();
  made.n_left_out = all.size() - fresh.size();
  for (const PairRow* row : fresh) {
    made.local_quality += row->outcome.is_local_right ? 1 : 0;
    made.adviser_quality += row->outcome.is_adviser_right ? 1 : 0;
  }
  made.local_quality /= static_cast<double>(std::max<std::size_t>(fresh.size(), 1));
  made.adviser_quality /= static_cast<double>(std::max<std::size_t>(fresh.size(), 1));
  HEARTH_TRY_VOID(check_gap(made));

  std::vector<Part> parts;
  if (is_crossed) {
    HEARTH_TRY(parts, fit_halves(fresh, progress));
  } else {
    parts.push_back({fresh, gate});
  }
  judge_parts(parts, made);
  return made;
}

Json to_json(const Evaluation& evaluation) {
  Json baselines = Json::object();
  for (const Baseline& baseline : evaluation.baselines) {
    baselines[baseline.name] = {{"apgr", baseline.figures.apgr},
                                {"cpt50", baseline.figures.cpt50},
                                {"cpt80", baseline.figures.cpt80}};
  }
  return {{"rows", evaluation.n_rows},
          {"method", method_name(evaluation.method)},
          {"rows_left_out", evaluation.n_left_out},
          {"local_quality", evaluation.local_quality},
          {"adviser_quality", evaluation.adviser_quality},
          {"auroc", evaluation.auroc.value},
          {"apgr", evaluation.apgr.value},
          {"cpt50", evaluation.cpt50.value},
          {"cpt80", evaluation.cpt80.value},
          {"calibration_error", evaluation.calibration_error},
          {"intervals",
           {{"auroc", figure_to_json(evaluation.auroc)},
            {"apgr", figure_to_json(evaluation.apgr)},
            {"cpt50", figure_to_json(evaluation.cpt50)},
            {"cpt80", figure_to_json(evaluation.cpt80)}}},
          {"baselines", baselines}};
}

}  // namespace hearth::advisor::gate
