// Which task a text is for, told from examples: a linear classifier over hashed words and runs of four
// characters, small enough to be trained at every start and to answer in microseconds.
//
// A text is its first and last bytes, in lower case, digits as 0 and white space as one space.  Each run
// of four bytes and each word is a feature: a row of a table of kRows, found by its hash.  Equal
// hashes share a row; with some thousand features among 2^14 rows that costs little.  Row r of feature
// f has a weight w[r][c] for each task c, and a text with n features scores
//
//     s_c = b_c + sum over f of idf_f w[f][c] / sqrt(n),        p = softmax(s / t)
//
// sqrt(n) instead of n: more text is more evidence.  The weights minimise the cross-entropy of the
// examples by stochastic gradient descent in a fixed pseudo-random order: the same examples give the
// same classifier, bit for bit on one machine.  The temperature t makes probabilities mean what they say
// (Guo et al. 2017): it minimises the cross-entropy of examples that were held out, a fourth at a time.
//
// Where the best probability is not ahead of the second by a margin, nobody should act on it.
//
// docs/design/0018-auto.md has what was measured, and what else was tried.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::hub {

struct TaskExamples {
  std::string name;
  std::vector<std::string> texts;
};

// Threading: immutable once trained.
class TaskClassifier {
 public:
  static constexpr std::size_t kTasksMax = 64;
  static constexpr std::size_t kExamplesMax = 4'096;         // Of all tasks.
  static constexpr std::size_t kHeadBytes = 1'536;           // Of a text, looked at,
  static constexpr std::size_t kTailBytes = 512;             // and of its end, if it is longer.

  // kInvalidArgument for limits, and for a task without examples.  Takes about a millisecond for ten
  // examples of a sentence.
  static Result<TaskClassifier> train(std::span<const TaskExamples> tasks);

  struct Score {
    std::size_t task = 0;
    float probability = 0;
  };
  // Of every task, best first.
  std::vector<Score> classify(std::string_view text) const;

  std::size_t n_tasks() const { return n_tasks_; }

 private:
  static constexpr unsigned kRowBits = 14;
  static constexpr std::size_t kRows = std::size_t{1} << kRowBits;
  static constexpr std::size_t kLanes = 8;  // Rows are padded to whole vectors.

  using Rows = std::vector<std::uint32_t>;

  explicit TaskClassifier(std::size_t n_tasks);
  static TaskClassifier fitted(std::size_t n_tasks, std::span<const Rows> examples,
                               std::span<const std::size_t> labels);
  static float find_temperature(std::size_t n_tasks, std::span<const Rows> examples,
                                std::span<const std::size_t> labels);
  std::vector<float> score(const Rows& rows) const;
  void add_row(std::uint32_t row, float factor, float* scores) const;
  void fit(std::span<const Rows> examples, std::span<const std::size_t> labels);
  void softmax(float* scores) const;

  std::size_t n_tasks_ = 0;
  std::size_t stride_ = 0;      // n_tasks_ rounded up to kLanes.
  std::vector<float> weights_;  // [kRows, stride_], idf multiplied in.
  std::vector<float> bias_;     // [stride_]
  float temperature_ = 1;
};

}  // namespace hearth::hub
