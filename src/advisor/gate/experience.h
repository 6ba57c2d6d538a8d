// What came of answers here: it bends the gate's probabilities towards this user's questions.
//
// A file with one JSON object per line, appended when somebody says that an answer was good or bad:
//
//   {"kind": "code", "p_wrong": 0.31, "advised": false, "good": true}
//
// Unadvised answers teach P(wrong): its log-odds are scaled and shifted, for all kinds and for each,
//
//     log-odds' = a + a_kind + b log-odds,     a ~ N(0, 1), a_kind ~ N(0, 1/4), b ~ N(1, 1/16),
//
// (variances; log-odds up to those of 99 %) by the most probable a, a_kind and b (Platt 1999, with priors):
// without outcomes nothing changes, and ten say something.  Advised answers teach P(adviser right | kind), as
// the mean of a Beta distribution whose prior counts as kPriorOutcomes.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::advisor::gate {

struct Experienced {
  std::string kind;
  double p_wrong = 0.5;  // As the gate said, before experience.
  bool was_advised = false;
  bool is_good = false;
};

// Threading: immutable once made.
class Experience {
 public:
  static constexpr std::size_t kOutcomesMax = 4'096;  // The latest; older ones are forgotten.
  static constexpr double kPriorOutcomes = 10;

  Experience() = default;  // Changes nothing.
  explicit Experience(std::vector<Experienced> outcomes);
  // Lines that are none are passed over: the last one may be torn.
  static Experience from_lines(std::string_view json_lines);

  double p_wrong(double before, const std::string& kind) const;
  double p_helps(double before, const std::string& kind) const;
  std::size_t n_outcomes() const { return n_outcomes_; }

 private:
  struct Advised {
    double n = 0, good = 0;
  };
  void fit(const std::vector<Experienced>& outcomes);

  std::size_t n_outcomes_ = 0;
  double shift_ = 0, scale_ = 1;
  std::map<std::string, double> kind_shifts_;
  std::map<std::string, Advised> advised_;
};

// Appends a line, in one write; makes the folder.
Result<> append_outcome(const std::filesystem::path& file, const Experienced& outcome);

}  // namespace hearth::advisor::gate
