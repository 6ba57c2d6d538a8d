// All that Hearth has learned of when to ask about one model: its calibration and its experience.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "advisor/gate/calibration.h"
#include "advisor/gate/experience.h"

namespace hearth::advisor::gate {

// Threading: immutable.
struct Learned {
  GateModel gate;
  Experience experience;

  struct Odds {
    double p_wrong_before = 0.5;  // Of the calibration and the confidence; what outcomes are recorded with.
    double p_wrong = 0.5;
    double p_helps = 0.5;
  };
  // `confidence` is the engine's own, in [0, 1].  A calibrated gate and it are two witnesses: their
  // log-odds are averaged.  Without a calibration confidence speaks alone.  `second_agrees`: whether a second
  // local model says the same, if it was asked; it moves the log-odds as in the shipped priors.
  Odds odds(const Asked& asked, double confidence, std::optional<bool> second_agrees = std::nullopt) const;
};

// Reads what is new when it is asked, so that a calibration or an outcome counts from the next answer on.
//
// Threading: one thread.
class LearnedShelf {
 public:
  // An empty folder: nothing is ever learned.
  explicit LearnedShelf(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // Never null; what can't be read is left out, and said in the log.
  std::shared_ptr<const Learned> of(const ModelKey& model);

 private:
  struct Entry {
    std::filesystem::file_time_type calibrated, experienced;
    std::shared_ptr<const Learned> learned;
  };
  std::filesystem::path folder_;
  std::map<std::string, Entry> entries_;  // By calibration_name; as many as there are models.
};

}  // namespace hearth::advisor::gate
