#include "advisor/gate/answer_signals.h"

#include <algorithm>
#include <cmath>

#include "advisor/gate/text_signals.h"

namespace hearth::advisor::gate {
namespace {

constexpr double kUnknown = -10;  // Below every value that occurs.
constexpr std::size_t kRepeatWords = 4;

double log_of(std::size_t n) { return std::log(static_cast<double>(n) + 1); }
double share(std::size_t n, std::size_t of) { return static_cast<double>(n) / (static_cast<double>(of) + 1); }

// How much of the text is runs of words that it has said before: a model that goes in circles.
double repetition_of(const std::vector<std::uint64_t>& words) {
  if (words.size() < kRepeatWords) return 0;
  std::vector<std::uint64_t> runs;
  for (std::size_t i = 0; i + kRepeatWords <= words.size(); ++i) {
    std::uint64_t run = 0;
    for (std::size_t k = 0; k < kRepeatWords; ++k) run = run * 0x100000001B3ULL + words[i + k];
    runs.push_back(run);
  }
  const std::size_t n_runs = runs.size();
  return 1 - static_cast<double>(distinct(std::move(runs)).size()) / static_cast<double>(n_runs);
}

// What the posterior says of the chosen options, as logarithms, and how decided it is.
void add_posterior(const Asked& asked, const Posterior& posterior, std::vector<double>& row) {
  if (posterior.empty()) {
    row.insert(row.end(), 6, kUnknown);
    return;
  }
  const auto log_p = [](double p) { return std::log(p + 1e-3); };
  const double local = asked.local ? posterior[*asked.local] : 0;
  const double second = asked.second ? posterior[*asked.second] : 0;
  double best_other = 0, entropy = 0;
  for (std::size_t i = 0; i < posterior.size(); ++i) {
    if (asked.local != Choice(static_cast<std::uint32_t>(i))) best_other = std::max(best_other, posterior[i]);
    entropy -= posterior[i] * std::log(posterior[i] + 1e-9);
  }
  for (const double value : {log_p(local), log_p(second), log_p(local) - log_p(second),
                             log_p(*std::ranges::max_element(posterior)), log_p(best_other), entropy}) {
    row.push_back(value);
  }
}

void add_opinions(const Asked& asked, const KindRates& rates, std::vector<double>& row) {
  const bool agree = asked.second && asked.second == asked.local;
  const bool disagree = asked.second && asked.second != asked.local;
  const double local_length = log_of(asked.local_chars), second_length = log_of(asked.second_chars);
  for (const double value :
       {static_cast<double>(asked.has_second), static_cast<double>(agree), static_cast<double>(disagree),
        asked.local ? static_cast<double>(*asked.local) : -1, asked.second ? static_cast<double>(*asked.second) : -1,
        local_length, asked.has_second ? second_length : kUnknown, asked.has_second ? local_length - second_length : kUnknown,
        rates.local_right, rates.adviser_helps, rates.adviser_harms}) {
    row.push_back(value);
  }
}

// The local answer's text: its size, its circles, and whether it argues for the option it names.
void add_text(const Asked& asked, std::vector<double>& row) {
  const std::string_view body = body_of(asked.local_text);
  const std::vector<std::uint64_t> words = words_of(body);
  const Features said = distinct(words), asked_words = distinct(words_of(asked.question));
  double support = kUnknown, best_other = 0;
  for (std::size_t i = 0; i < asked.options.size(); ++i) {
    const Features option = distinct(words_of(asked.options[i]));
    const double covered = share(n_common(option, said), option.size());
    if (asked.local == Choice(static_cast<std::uint32_t>(i))) support = covered;
    else best_other = std::max(best_other, covered);
  }
  for (const double value :
       {log_of(words.size()), repetition_of(words), share(n_common(said, asked_words), asked_words.size()),
        support, support - best_other, log_of(numbers_of(body).size()),
        static_cast<double>(stated_choice(asked.local_text) >= 0),
        static_cast<double>(asked.local_chars > asked.local_text.size() + 16)}) {
    row.push_back(value);
  }
}

void add_question(const Asked& asked, std::vector<double>& row) {
  const auto is_digit = [](unsigned char c) { return c >= '0' && c <= '9'; };
  std::size_t length = 0, n_numeric = 0;
  for (const std::string& option : asked.options) {
    length += option.size();
    n_numeric += numbers_of(option).empty() ? 0 : 1;
  }
  const double n = static_cast<double>(std::max<std::size_t>(asked.options.size(), 1));
  const double mean = static_cast<double>(length) / n;
  const double chosen = asked.local ? static_cast<double>(asked.options[*asked.local].size()) / (mean + 1) : kUnknown;
  for (const double value :
       {log_of(asked.question.size()), share(n_of(asked.question, is_digit), asked.question.size()),
        log_of(numbers_of(asked.question).size()), static_cast<double>(asked.options.size()),
        std::log(mean + 1), static_cast<double>(n_numeric) / n, chosen}) {
    row.push_back(value);
  }
}

}  // namespace

std::vector<float> answer_signals(const Asked& asked, const Posterior& posterior, const KindRates& rates) {
  std::vector<double> row;
  add_posterior(asked, posterior, row);
  add_opinions(asked, rates, row);
  add_text(asked, row);
  add_question(asked, row);
  return {row.begin(), row.end()};
}

}  // namespace hearth::advisor::gate
