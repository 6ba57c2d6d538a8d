#include "advisor/gate/gate_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

#include "advisor/gate/fixed_random.h"
#include "advisor/gate/log_odds.h"
#include "advisor/gate/option_signals.h"
#include "advisor/gate/text_signals.h"
#include "base/thread_pool.h"

namespace hearth::advisor::gate {
namespace {

using Json = nlohmann::ordered_json;
using Rows = std::vector<const PairRow*>;

constexpr TreeOptions kTrees = {.n_trees = 150, .n_bags = 3, .leaves_max = 6, .l2 = 15, .row_share = 0.5};
constexpr std::size_t kFolds = 4;
constexpr double kPriorRows = 20;  // A kind's own rows against what is known of all kinds.
constexpr std::size_t kKindsMax = 4'096;

// ---- Shipped priors ----------------------------------------------------------------------------

struct ShippedKind {
  std::string_view kind;
  KindRates rates;
};
// An 8 B model and a frontier model on MMLU-Pro, rounded to what other models will share.
constexpr KindRates kShippedOverall = {.local_right = 0.45, .adviser_helps = 0.58, .adviser_harms = 0.14};
constexpr ShippedKind kShippedKinds[] = {
    {"biology", {0.63, 0.69, 0.02}},   {"business", {0.48, 0.66, 0.08}},    {"chemistry", {0.40, 0.50, 0.23}},
    {"computer science", {0.50, 0.59, 0.13}}, {"economics", {0.55, 0.68, 0.07}}, {"engineering", {0.32, 0.52, 0.26}},
    {"health", {0.52, 0.64, 0.09}},    {"history", {0.43, 0.54, 0.13}},     {"law", {0.27, 0.50, 0.26}},
    {"math", {0.43, 0.42, 0.36}},      {"other", {0.46, 0.60, 0.11}},       {"philosophy", {0.44, 0.59, 0.10}},
    {"physics", {0.41, 0.75, 0.10}},   {"psychology", {0.62, 0.66, 0.05}},
};

double repeated_share(std::string_view text) {
  const std::vector<std::uint64_t> words = words_of(text);
  return words.empty() ? 0 : 1 - static_cast<double>(distinct(words).size()) / static_cast<double>(words.size());
}

// Logistic regression on the same questions: disagreement says most, then length and repetition.
Verdict shipped_verdict(const Asked& asked) {
  const KindRates rates = shipped_rates(asked.kind);
  const double length = std::log(static_cast<double>(asked.local_chars) + 1) - 6;
  double evidence = 0.3 * length + 0.8 * (repeated_share(body_of(asked.local_text)) - 0.3);
  if (asked.has_second) {
    evidence += !asked.second ? 0.3 : asked.second != asked.local ? 0.8 : -0.9;
  }
  return {logistic(log_odds(1 - rates.local_right, 0) + evidence), rates.adviser_helps, rates.adviser_harms};
}

// ---- Rates of kinds ----------------------------------------------------------------------------

struct Counts {
  double n = 0, right = 0, helps = 0, harms = 0;

  void add(const Outcome& outcome) {
    ++n;
    right += outcome.is_local_right ? 1 : 0;
    helps += !outcome.is_local_right && outcome.is_adviser_right ? 1 : 0;
    harms += outcome.is_local_right && !outcome.is_adviser_right ? 1 : 0;
  }
  // Drawn towards `prior`, the more the fewer rows there are.
  KindRates rates(const KindRates& prior) const {
    const auto drawn = [](double hits, double of, double towards) {
      return (hits + kPriorRows * towards) / (of + kPriorRows);
    };
    return {drawn(right, n, prior.local_right), drawn(helps, n - right, prior.adviser_helps),
            drawn(harms, right, prior.adviser_harms)};
  }
};

KindRates rates_among(const std::map<std::string, KindRates>& kinds, const KindRates& overall, const std::string& kind) {
  const auto at = kinds.find(kind);
  return at == kinds.end() ? overall : at->second;
}

Json rates_to_json(const KindRates& rates) { return {rates.local_right, rates.adviser_helps, rates.adviser_harms}; }
KindRates rates_from_json(const Json& json) {
  return {json.at(0).get<double>(), json.at(1).get<double>(), json.at(2).get<double>()};
}

// ---- Fitting -----------------------------------------------------------------------------------

// The model of all rows, and posteriors of each row from models that did not see it.
struct OptionFit {
  OptionModel model;
  std::vector<Posterior> left_out;
};

OptionFit fit_options(const Rows& rows, const std::vector<OptionRows>& signals, ThreadPool& pool) {
  std::vector<std::size_t> order(rows.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  FixedRandom(3).shuffle(order);
  OptionFit made;
  made.left_out.resize(rows.size());
  pool.run(kFolds + 1, [&](std::uint32_t fold) {  // The last one leaves nothing out.
    Rows kept;
    std::vector<const OptionRows*> kept_signals;
    for (std::size_t k = 0; k < order.size(); ++k) {
      if (fold < kFolds && k % kFolds == fold) continue;
      kept.push_back(rows[order[k]]);
      kept_signals.push_back(&signals[order[k]]);
    }
    OptionModel model = OptionModel::fit(kept, kept_signals);
    for (std::size_t k = fold; fold < kFolds && k < order.size(); k += kFolds) {
      made.left_out[order[k]] = model.posterior(signals[order[k]]);
    }
    if (fold == kFolds) made.model = std::move(model);
  });
  return made;
}

// Trees for a share among the rows that `counts` lets in.
template <class Counts, class Hit>
BoostedTrees fit_share(const Rows& rows, const Table& table, Counts counts, Hit hit) {
  Table kept;
  std::vector<float> targets;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!counts(rows[i]->outcome)) continue;
    kept.add(table.row(i));
    targets.push_back(hit(rows[i]->outcome) ? 1.0F : 0.0F);
  }
  return BoostedTrees::fit(kept, targets, kTrees);
}

Result<> check_rows(std::span<const PairRow* const> rows) {
  if (rows.size() < GateModel::kRowsMin) {
    return fail(Code::kInvalidArgument,
                fmt::format("{} rows are too few to calibrate on, at least {} are needed", rows.size(), GateModel::kRowsMin));
  }
  const auto n_right = std::ranges::count_if(rows, [](const PairRow* row) { return row->outcome.is_local_right; });
  if (n_right > 0 && static_cast<std::size_t>(n_right) < rows.size()) return {};
  return fail(Code::kInvalidArgument, "the local answers are all right, or all wrong: that tells nothing of when to ask");
}

double probability(const BoostedTrees& trees, std::span<const float> row) {
  return std::clamp(trees.predict(row), 0.001, 0.999);
}

}  // namespace

KindRates shipped_rates(const std::string& kind) {
  const auto row = std::ranges::find(kShippedKinds, kind, &ShippedKind::kind);
  return row == std::end(kShippedKinds) ? kShippedOverall : row->rates;
}

Result<GateModel> GateModel::fit(std::span<const PairRow* const> given) {
  HEARTH_TRY_VOID(check_rows(given));
  const Rows rows(given.begin(), given.end());
  auto fitted = std::make_shared<Fitted>();

  // How such questions go, by kind.
  Counts all;
  std::map<std::string, Counts> counts;
  for (const PairRow* row : rows) {
    all.add(row->outcome);
    counts[row->asked.kind].add(row->outcome);
  }
  if (counts.size() > kKindsMax) {
    return fail(Code::kInvalidArgument, fmt::format("there are {} categories, at most {} are possible", counts.size(), kKindsMax));
  }
  fitted->overall = all.rates(kShippedOverall);
  for (const auto& [kind, of_kind] : counts) fitted->kinds[kind] = of_kind.rates(fitted->overall);

  // Which option is right, from the inside (for later) and from the outside (for what follows).
  std::vector<OptionRows> signals;
  for (const PairRow* row : rows) {
    signals.push_back(option_signals(row->asked, fitted->kinds[row->asked.kind].local_right));
  }
  ThreadPool pool(0);
  OptionFit options = fit_options(rows, signals, pool);
  fitted->options = std::move(options.model);

  // What the answers are worth.
  Table table;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    table.add(answer_signals(rows[i]->asked, options.left_out[i], fitted->kinds[rows[i]->asked.kind]));
  }
  const auto any = [](const Outcome&) { return true; };
  const auto right = [](const Outcome& o) { return o.is_local_right; };
  const auto wrong = [](const Outcome& o) { return !o.is_local_right; };
  pool.run(3, [&](std::uint32_t part) {
    if (part == 0) fitted->wrong = fit_share(rows, table, any, wrong);
    if (part == 1) fitted->helps = fit_share(rows, table, wrong, [](const Outcome& o) { return o.is_adviser_right; });
    if (part == 2) fitted->harms = fit_share(rows, table, right, [](const Outcome& o) { return !o.is_adviser_right; });
  });

  GateModel made;
  made.fitted_ = std::move(fitted);
  return made;
}

KindRates GateModel::rates(const std::string& kind) const {
  return fitted_ == nullptr ? shipped_rates(kind) : rates_among(fitted_->kinds, fitted_->overall, kind);
}

Verdict GateModel::judge(const Asked& asked) const {
  if (fitted_ == nullptr) return shipped_verdict(asked);
  const KindRates of_kind = rates(asked.kind);
  const Posterior posterior = fitted_->options.posterior(option_signals(asked, of_kind.local_right));
  const std::vector<float> row = answer_signals(asked, posterior, of_kind);
  return {probability(fitted_->wrong, row), probability(fitted_->helps, row), probability(fitted_->harms, row)};
}

Json GateModel::to_json() const {
  if (fitted_ == nullptr) return nullptr;
  Json kinds = Json::object();
  for (const auto& [kind, of_kind] : fitted_->kinds) kinds[kind] = rates_to_json(of_kind);
  return {{"overall", rates_to_json(fitted_->overall)}, {"kinds", kinds},
          {"options", fitted_->options.to_json()},      {"wrong", fitted_->wrong.to_json()},
          {"helps", fitted_->helps.to_json()},          {"harms", fitted_->harms.to_json()}};
}

Result<GateModel> GateModel::from_json(const Json& json) {
  GateModel made;
  if (json.is_null()) return made;
  auto fitted = std::make_shared<Fitted>();
  try {
    fitted->overall = rates_from_json(json.at("overall"));
    for (const auto& [kind, rates] : json.at("kinds").items()) fitted->kinds[kind] = rates_from_json(rates);
    HEARTH_TRY(fitted->options, OptionModel::from_json(json.at("options")));
    HEARTH_TRY(fitted->wrong, BoostedTrees::from_json(json.at("wrong")));
    HEARTH_TRY(fitted->helps, BoostedTrees::from_json(json.at("helps")));
    HEARTH_TRY(fitted->harms, BoostedTrees::from_json(json.at("harms")));
  } catch (const Json::exception& error) {
    return fail(Code::kCorrupt, std::string("stored gate: ") + error.what());
  }
  const std::size_t n_signals = answer_signals({}, {}, {}).size();
  for (const BoostedTrees* trees : {&fitted->wrong, &fitted->helps, &fitted->harms}) {
    if (trees->n_features() == n_signals) continue;
    return fail(Code::kCorrupt, fmt::format("stored gate: {} signals of an answer, this Hearth has {}", trees->n_features(), n_signals));
  }
  made.fitted_ = std::move(fitted);
  return made;
}

}  // namespace hearth::advisor::gate
