#include "advisor/gate/experience.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "advisor/append_line.h"
#include "advisor/gate/log_odds.h"

namespace hearth::advisor::gate {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kPasses = 30;           // Of coordinate-wise Newton steps; it settles within ten.
constexpr double kShiftPrecision = 1;  // Of the priors.
constexpr double kKindPrecision = 4;
constexpr double kScalePrecision = 16;

constexpr double kMargin = 0.01;  // How near to 0 and 1 a probability is believed.

}  // namespace

Experience::Experience(std::vector<Experienced> outcomes) : n_outcomes_(outcomes.size()) {
  for (const Experienced& outcome : outcomes) {
    if (!outcome.was_advised) continue;
    Advised& of_kind = advised_[outcome.kind];
    ++of_kind.n;
    of_kind.good += outcome.is_good ? 1 : 0;
  }
  fit(outcomes);
}

Experience Experience::from_lines(std::string_view json_lines) {
  std::vector<Experienced> outcomes;
  while (!json_lines.empty()) {
    const std::size_t end = std::min(json_lines.find('\n'), json_lines.size());
    const Json json = Json::parse(json_lines.substr(0, end), nullptr, /*allow_exceptions=*/false);
    json_lines.remove_prefix(std::min(end + 1, json_lines.size()));
    if (!json.is_object()) continue;
    try {
      outcomes.push_back({json.value("kind", ""), std::clamp(json.at("p_wrong").get<double>(), 0.0, 1.0),
                          json.at("advised").get<bool>(), json.at("good").get<bool>()});
    } catch (const Json::exception&) {
      continue;
    }
  }
  const std::size_t n_old = outcomes.size() - std::min(outcomes.size(), kOutcomesMax);
  outcomes.erase(outcomes.begin(), outcomes.begin() + static_cast<std::ptrdiff_t>(n_old));
  return Experience(std::move(outcomes));
}

void Experience::fit(const std::vector<Experienced>& outcomes) {
  // A Newton step of one parameter: the sums of first and second derivatives, its prior's among them.
  const auto step = [&](double& parameter, double mean, double precision, const std::string* kind, bool is_scale) {
    double slope = precision * (parameter - mean), bend = precision;
    for (const Experienced& outcome : outcomes) {
      if (outcome.was_advised || (kind != nullptr && outcome.kind != *kind)) continue;
      const double x = is_scale ? log_odds(outcome.p_wrong, kMargin) : 1;
      const double p = p_wrong(outcome.p_wrong, outcome.kind);
      slope += x * (p - (outcome.is_good ? 0 : 1));
      bend += x * x * p * (1 - p);
    }
    parameter -= slope / bend;
  };
  for (const Experienced& outcome : outcomes) {
    if (!outcome.was_advised) kind_shifts_[outcome.kind] = 0;
  }
  if (kind_shifts_.empty()) return;
  for (int pass = 0; pass < kPasses; ++pass) {
    step(shift_, 0, kShiftPrecision, nullptr, false);
    step(scale_, 1, kScalePrecision, nullptr, true);
    for (auto& [kind, shift] : kind_shifts_) step(shift, 0, kKindPrecision, &kind, false);
  }
}

double Experience::p_wrong(double before, const std::string& kind) const {
  const auto at = kind_shifts_.find(kind);
  const double of_kind = at == kind_shifts_.end() ? 0 : at->second;
  return logistic(shift_ + of_kind + scale_ * log_odds(before, kMargin));
}

double Experience::p_helps(double before, const std::string& kind) const {
  const auto at = advised_.find(kind);
  if (at == advised_.end()) return before;
  return (kPriorOutcomes * before + at->second.good) / (kPriorOutcomes + at->second.n);
}

Result<> append_outcome(const std::filesystem::path& file, const Experienced& outcome) {
  const std::string line = Json{{"kind", outcome.kind},
                                {"p_wrong", outcome.p_wrong},
                                {"advised", outcome.was_advised},
                                {"good", outcome.is_good}}
                               .dump(-1, ' ', false, Json::error_handler_t::replace);
  return append_line(file, line);
}

}  // namespace hearth::advisor::gate
