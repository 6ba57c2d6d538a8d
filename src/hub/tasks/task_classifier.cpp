#include "hub/tasks/task_classifier.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

namespace hearth::hub {
namespace {

constexpr int kEpochs = 8;
constexpr float kFirstStep = 0.1F;
constexpr float kStepDecay = 0.2F;  // Per epoch: step / (1 + epoch * decay).
constexpr float kBiasShare = 0.1F;
constexpr std::size_t kGramBytes = 4;
constexpr std::size_t kFolds = 4;
constexpr std::size_t kHeldOutMax = 1'024;  // Examples that the temperature is found with.
constexpr float kTemperatureMin = 0.02F, kTemperatureMax = 5.0F, kTemperatureStep = 1.1F;

// Of a byte: its form in features, and whether it is part of a word.
struct ByteTables {
  std::array<char, 256> form{};
  std::array<bool, 256> is_word{};
};
constexpr ByteTables make_tables() {
  ByteTables tables;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool is_upper = byte >= 'A' && byte <= 'Z';
    const bool is_digit = byte >= '0' && byte <= '9';
    const unsigned form = is_upper ? byte + 32 : is_digit ? '0' : byte <= ' ' ? ' ' : byte;
    tables.form[byte] = static_cast<char>(form);
    tables.is_word[byte] = (form >= 'a' && form <= 'z') || form == '0' || form >= 0x80;
  }
  return tables;
}
constexpr ByteTables kTables = make_tables();

// Fibonacci hashing: the product's high bits.
template <unsigned Bits>
std::uint32_t row_of(std::uint64_t value) {
  return static_cast<std::uint32_t>((value * 0x9E3779B97F4A7C15ULL) >> (64 - Bits));
}

void append_normal(std::string& out, std::string_view text) {
  for (const char c : text) {
    const char form = kTables.form[static_cast<unsigned char>(c)];
    if (form != ' ' || out.back() != ' ') out.push_back(form);
  }
}

// The rows of a text's features, one for each time that it has the feature.
template <unsigned Bits>
void find_rows(std::string_view text, std::string& normal, std::vector<std::uint32_t>& rows) {
  constexpr std::size_t kHead = TaskClassifier::kHeadBytes, kTail = TaskClassifier::kTailBytes;
  normal.assign(1, ' ');
  append_normal(normal, text.substr(0, kHead));
  if (text.size() > kHead) append_normal(normal, text.substr(std::max(text.size() - kTail, kHead)));
  normal.push_back(' ');
  rows.clear();
  for (std::size_t i = 0; i + kGramBytes <= normal.size(); ++i) {
    std::uint32_t gram = 0;
    std::memcpy(&gram, normal.data() + i, kGramBytes);
    rows.push_back(row_of<Bits>(std::uint64_t{gram} + 1));
  }
  constexpr std::uint64_t kBasis = 0xCBF29CE484222325ULL, kPrime = 0x100000001B3ULL;  // FNV-1a
  std::uint64_t word = kBasis;
  for (const char c : normal) {
    const auto byte = static_cast<unsigned char>(c);
    if (kTables.is_word[byte]) {
      word = (word ^ byte) * kPrime;
    } else if (word != kBasis) {
      rows.push_back(row_of<Bits>(word ^ (word >> 29)));
      word = kBasis;
    }
  }
}

float scale_of(std::size_t n_features) {
  return n_features == 0 ? 0.0F : 1.0F / std::sqrt(static_cast<float>(n_features));
}

// A fixed sequence: what is trained must not depend on the day.
class Shuffler {
 public:
  void shuffle(std::vector<std::size_t>& order) {
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[next() % i]);
  }

 private:
  std::uint64_t next() {  // Xorshift (Marsaglia 2003).
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    return state_ ^= state_ << 17;
  }
  std::uint64_t state_ = 0x2545F4914F6CDD1DULL;
};

}  // namespace

TaskClassifier::TaskClassifier(std::size_t n_tasks)
    : n_tasks_(n_tasks),
      stride_((n_tasks + kLanes - 1) / kLanes * kLanes),
      weights_(kRows * stride_),
      bias_(stride_) {}

Result<TaskClassifier> TaskClassifier::train(std::span<const TaskExamples> tasks) {
  if (tasks.empty() || tasks.size() > kTasksMax) {
    return fail(Code::kInvalidArgument,
                fmt::format("there are {} tasks, 1 to {} are possible", tasks.size(), kTasksMax));
  }
  std::vector<Rows> examples;
  std::vector<std::size_t> labels;
  std::string normal;
  for (std::size_t task = 0; task < tasks.size(); ++task) {
    if (tasks[task].texts.empty()) {
      return fail(Code::kInvalidArgument,
                  fmt::format("task '{}' has neither examples nor tags", tasks[task].name));
    }
    for (const std::string& text : tasks[task].texts) {
      find_rows<kRowBits>(text, normal, examples.emplace_back());
      labels.push_back(task);
    }
  }
  if (examples.size() > kExamplesMax) {
    return fail(Code::kInvalidArgument, fmt::format("the tasks have {} examples, at most {} are possible",
                                                    examples.size(), kExamplesMax));
  }
  TaskClassifier made = fitted(tasks.size(), examples, labels);
  made.temperature_ = find_temperature(tasks.size(), examples, labels);
  return made;
}

TaskClassifier TaskClassifier::fitted(std::size_t n_tasks, std::span<const Rows> examples,
                                      std::span<const std::size_t> labels) {
  TaskClassifier made(n_tasks);
  made.fit(examples, labels);
  return made;
}

// A table of temperatures and one pass over them: there is a single minimum, and nobody needs it exactly.
float TaskClassifier::find_temperature(std::size_t n_tasks, std::span<const Rows> examples,
                                       std::span<const std::size_t> labels) {
  const std::size_t every = examples.size() / kHeldOutMax + 1;
  std::vector<std::vector<float>> scores;
  std::vector<std::size_t> truths;
  for (std::size_t fold = 0; fold < kFolds; ++fold) {
    std::vector<Rows> kept;
    std::vector<std::size_t> kept_labels, held_out;
    for (std::size_t i = 0; i < examples.size(); ++i) {
      if (i % every != 0) continue;
      if (i / every % kFolds == fold) {
        held_out.push_back(i);
      } else {
        kept.push_back(examples[i]);
        kept_labels.push_back(labels[i]);
      }
    }
    if (kept.empty()) continue;
    const TaskClassifier part = fitted(n_tasks, kept, kept_labels);
    for (const std::size_t i : held_out) {
      scores.push_back(part.score(examples[i]));
      truths.push_back(labels[i]);
    }
  }
  const auto loss_at = [&](float temperature) {
    double loss = 0;
    for (std::size_t i = 0; i < scores.size(); ++i) {
      const float most = *std::ranges::max_element(scores[i].begin(), scores[i].begin() + static_cast<std::ptrdiff_t>(n_tasks));
      double sum = 0;
      for (std::size_t c = 0; c < n_tasks; ++c) sum += std::exp((scores[i][c] - most) / temperature);
      loss += std::log(sum) - (scores[i][truths[i]] - most) / temperature;
    }
    return loss;
  };
  float best = 1;
  double least = loss_at(best);
  for (float candidate = kTemperatureMin; candidate <= kTemperatureMax; candidate *= kTemperatureStep) {
    if (const double loss = loss_at(candidate); loss < least) {
      best = candidate;
      least = loss;
    }
  }
  return best;
}

void TaskClassifier::add_row(std::uint32_t row, float factor, float* scores) const {
  const float* const weights = weights_.data() + row * stride_;
  for (std::size_t c = 0; c < stride_; ++c) scores[c] += factor * weights[c];
}

void TaskClassifier::softmax(float* scores) const {
  const float most = *std::max_element(scores, scores + n_tasks_);
  float sum = 0;
  for (std::size_t c = 0; c < n_tasks_; ++c) sum += scores[c] = std::exp(scores[c] - most);
  for (std::size_t c = 0; c < n_tasks_; ++c) scores[c] /= sum;
}

void TaskClassifier::fit(std::span<const Rows> examples, std::span<const std::size_t> labels) {
  // In how many examples a row is: rare ones tell more, ones that were never seen tell nothing.
  std::vector<float> idf(kRows);
  std::vector<std::uint32_t> seen_in(kRows, UINT32_MAX);
  for (std::uint32_t i = 0; i < examples.size(); ++i) {
    for (const std::uint32_t row : examples[i]) idf[row] += std::exchange(seen_in[row], i) != i ? 1.0F : 0.0F;
  }
  const float n_examples = static_cast<float>(examples.size());
  for (float& value : idf) value = value > 0 ? std::log((n_examples + 1) / value) : 0;

  std::vector<std::size_t> order(examples.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  Shuffler shuffler;
  std::vector<float> scores(stride_);
  for (int epoch = 0; epoch < kEpochs; ++epoch) {
    shuffler.shuffle(order);
    const float step = kFirstStep / (1 + static_cast<float>(epoch) * kStepDecay);
    for (const std::size_t i : order) {
      const float scale = scale_of(examples[i].size());
      std::ranges::copy(bias_, scores.begin());
      for (const std::uint32_t row : examples[i]) add_row(row, scale * idf[row], scores.data());
      softmax(scores.data());
      scores[labels[i]] -= 1;
      for (std::size_t c = 0; c < n_tasks_; ++c) bias_[c] -= step * kBiasShare * scores[c];
      for (const std::uint32_t row : examples[i]) {
        const float factor = step * scale * idf[row];
        float* const weights = weights_.data() + row * stride_;
        for (std::size_t c = 0; c < n_tasks_; ++c) weights[c] -= factor * scores[c];
      }
    }
  }
  for (std::size_t row = 0; row < kRows; ++row) {
    for (std::size_t c = 0; c < stride_; ++c) weights_[row * stride_ + c] *= idf[row];
  }
}

std::vector<float> TaskClassifier::score(const Rows& rows) const {
  std::vector<float> scores(stride_);
  for (const std::uint32_t row : rows) add_row(row, 1.0F, scores.data());
  const float scale = scale_of(rows.size());
  for (std::size_t c = 0; c < n_tasks_; ++c) scores[c] = scores[c] * scale + bias_[c];
  return scores;
}

std::vector<TaskClassifier::Score> TaskClassifier::classify(std::string_view text) const {
  thread_local std::string normal;
  thread_local Rows rows;
  find_rows<kRowBits>(text, normal, rows);
  std::vector<float> scores = score(rows);
  for (float& value : scores) value /= temperature_;
  softmax(scores.data());
  std::vector<Score> ranked(n_tasks_);
  for (std::size_t c = 0; c < n_tasks_; ++c) ranked[c] = {c, scores[c]};
  std::ranges::stable_sort(ranked, std::ranges::greater{}, &Score::probability);
  return ranked;
}

}  // namespace hearth::hub
