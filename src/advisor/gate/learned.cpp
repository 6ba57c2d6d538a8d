#include "advisor/gate/learned.h"

#include <system_error>

#include "advisor/gate/log_odds.h"
#include "base/file.h"
#include "base/log.h"

namespace hearth::advisor::gate {
namespace {

constexpr std::size_t kOutcomesBytesMax = std::size_t{16} << 20;

// The epoch for a file that is not there.
std::filesystem::file_time_type changed_at(const std::filesystem::path& path) {
  std::error_code error;
  const auto time = std::filesystem::last_write_time(path, error);
  return error ? std::filesystem::file_time_type{} : time;
}

// What a second opinion adds to the log-odds that the local answer is wrong (gate_model.cpp, shipped_verdict).
constexpr double kAgrees = -0.9, kDisagrees = 0.8;

constexpr double kMargin = 0.001;  // How near to 0 and 1 a probability is believed.

Learned read_all(const std::filesystem::path& folder, const ModelKey& model) {
  Learned learned;
  auto calibration = load_calibration(folder, model);
  if (calibration) {
    learned.gate = std::move(calibration->gate);
  } else {
    log_error("advisor", calibration.error().message);
  }
  const auto lines = read_file(outcomes_file(folder, model), kOutcomesBytesMax);
  if (lines) {
    learned.experience = Experience::from_lines(*lines);
  } else if (lines.error().code != Code::kNotFound) {
    log_error("advisor", lines.error().message);
  }
  return learned;
}

}  // namespace

Learned::Odds Learned::odds(const Asked& asked, double confidence, std::optional<bool> second_agrees) const {
  Odds odds;
  odds.p_wrong_before = 1 - confidence;
  odds.p_helps = gate.rates(asked.kind).adviser_helps;
  if (gate.is_calibrated()) {
    const Verdict verdict = gate.judge(asked);
    odds.p_wrong_before = logistic((log_odds(verdict.p_wrong, kMargin) + log_odds(1 - confidence, kMargin)) / 2);
    odds.p_helps = verdict.p_helps;
  }
  if (second_agrees) {
    odds.p_wrong_before = logistic(log_odds(odds.p_wrong_before, kMargin) + (*second_agrees ? kAgrees : kDisagrees));
  }
  odds.p_wrong = experience.n_outcomes() > 0 ? experience.p_wrong(odds.p_wrong_before, asked.kind) : odds.p_wrong_before;
  odds.p_helps = experience.p_helps(odds.p_helps, asked.kind);
  return odds;
}

std::shared_ptr<const Learned> LearnedShelf::of(const ModelKey& model) {
  if (folder_.empty()) return std::make_shared<const Learned>();
  Entry& entry = entries_[calibration_name(model)];
  const auto calibrated = changed_at(calibration_file(folder_, model));
  const auto experienced = changed_at(outcomes_file(folder_, model));
  if (entry.learned == nullptr || entry.calibrated != calibrated || entry.experienced != experienced) {
    entry = {calibrated, experienced, std::make_shared<const Learned>(read_all(folder_, model))};
  }
  return entry.learned;
}

}  // namespace hearth::advisor::gate
