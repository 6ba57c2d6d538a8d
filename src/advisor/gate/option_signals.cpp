#include "advisor/gate/option_signals.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <unordered_map>

#include "advisor/gate/text_signals.h"

namespace hearth::advisor::gate {
namespace {

constexpr double kFar = 3;                // Of distances between logarithms; more says nothing more.
constexpr std::size_t kBodyTailBytes = 400;  // Of the local text, where it comes to its point.
// What of an option's row is repeated as its distance from the mean over the options.
constexpr std::size_t kRelative = 28;

struct Option {
  std::string_view text;
  std::vector<double> numbers;
  Features words, trigrams;
  std::uint64_t shape = 0, unit = 0, first_word = 0;
};

// What is the same for all options of a question.
struct Scene {
  std::vector<Option> options;
  std::unordered_map<std::uint64_t, double> n_options_with;  // Of each word.
  std::vector<double> body_numbers, question_numbers;
  Features body_words, question_words, body_end;
  std::string body;
  bool is_numeric = false;
  std::vector<double> logs;  // Of the options' numbers, ascending.
  std::size_t length_max = 0;
  double length_mean = 0;
};

double log_of(double value) { return std::log(std::abs(value) + 1e-12); }

double share(std::size_t n, std::size_t of) { return static_cast<double>(n) / (static_cast<double>(of) + 1); }

Option option_of(std::string_view text) {
  Option option{.text = text,
                .numbers = numbers_of(text),
                .words = distinct(words_of(text)),
                .trigrams = trigrams_of(text),
                .shape = shape_of(text),
                .unit = unit_of(text)};
  const std::vector<std::uint64_t> words = words_of(text.substr(0, text.find(' ')));
  option.first_word = words.empty() ? 0 : words.front();
  return option;
}

Scene scene_of(const Asked& asked) {
  Scene scene;
  scene.body = std::string(body_of(asked.local_text));
  scene.body_numbers = numbers_of(scene.body);
  scene.question_numbers = numbers_of(asked.question);
  scene.body_words = distinct(words_of(scene.body));
  scene.question_words = distinct(words_of(asked.question));
  const std::size_t tail = std::min(scene.body.size(), kBodyTailBytes);
  scene.body_end = trigrams_of(std::string_view(scene.body).substr(scene.body.size() - tail));
  std::size_t n_numeric = 0;
  for (const std::string& text : asked.options) {
    const Option& option = scene.options.emplace_back(option_of(text));
    for (const std::uint64_t word : option.words) ++scene.n_options_with[word];
    if (!option.numbers.empty()) {
      ++n_numeric;
      scene.logs.push_back(log_of(option.numbers.front()));
    }
    scene.length_max = std::max(scene.length_max, text.size());
    scene.length_mean += static_cast<double>(text.size());
  }
  scene.length_mean /= static_cast<double>(std::max<std::size_t>(asked.options.size(), 1));
  std::ranges::sort(scene.logs);
  scene.is_numeric = n_numeric * 5 > asked.options.size() * 3;
  return scene;
}

void add_length(const Scene& scene, const Option& option, std::vector<float>& row) {
  const std::size_t length = option.text.size();
  std::size_t n_shorter = 0, n_longer = 0;
  for (const Option& other : scene.options) {
    n_shorter += other.text.size() < length ? 1 : 0;
    n_longer += other.text.size() > length ? 1 : 0;
  }
  const double n = static_cast<double>(scene.options.size());
  row.push_back(static_cast<float>(std::log((static_cast<double>(length) + 1) / (scene.length_mean + 1))));
  row.push_back(static_cast<float>(share(length, scene.length_max)));
  row.push_back(static_cast<float>(static_cast<double>(n_shorter) / n));
  row.push_back(static_cast<float>(static_cast<double>(n_longer) / n));
  row.push_back(static_cast<float>(length));
}

// How an option's number lies among those of the others, on a scale of ratios.
void add_place_among_numbers(const Scene& scene, std::size_t index, std::vector<float>& row) {
  const Option& option = scene.options[index];
  std::array<double, 8> place = {0, 0, 0.5, 0, 0, 0, 0, 0};
  if (scene.is_numeric && !option.numbers.empty() && scene.logs.size() > 1) {
    const double value = option.numbers.front(), log_value = log_of(value);
    std::vector<double> distances;
    double n_below = 0, n_doubles = 0, n_tens = 0, has_negative = 0;
    for (std::size_t j = 0; j < scene.options.size(); ++j) {
      if (j == index || scene.options[j].numbers.empty()) continue;
      const double other = scene.options[j].numbers.front();
      const double distance = std::abs(log_value - log_of(other));
      distances.push_back(distance);
      n_below += other < value ? 1 : 0;
      n_doubles += std::abs(distance - std::log(2.0)) < 0.01 ? 1 : 0;
      n_tens += std::abs(distance - std::log(10.0)) < 0.01 ? 1 : 0;
      if (is_near(-other, value)) has_negative = 1;
    }
    std::ranges::sort(distances);
    const std::size_t n_nearest = std::min<std::size_t>(3, distances.size());
    double nearest = 0;
    for (std::size_t k = 0; k < n_nearest; ++k) nearest += distances[k] / static_cast<double>(n_nearest);
    const double rank = n_below / static_cast<double>(distances.size());
    const std::size_t half = scene.logs.size() / 2;
    const double median = scene.logs.size() % 2 == 1 ? scene.logs[half] : (scene.logs[half] + scene.logs[half - 1]) / 2;
    place = {std::min(distances.front(), kFar), std::min(std::abs(log_value - median), 5.0), rank,
             std::abs(rank - 0.5), n_doubles, n_tens, has_negative, nearest};
  }
  for (const double value : place) row.push_back(static_cast<float>(value));
}

// Whether the numbers of the local text, above all its last one, are the option's.
void add_number_matches(const Scene& scene, const Option& option, const std::vector<double>& distances, std::vector<float>& row) {
  const auto any_near = [&](std::span<const double> numbers) {
    return !option.numbers.empty() && std::ranges::any_of(numbers, [&](double x) { return is_near(x, option.numbers.front()); });
  };
  const std::span<const double> body = scene.body_numbers;
  const double distance = distances[static_cast<std::size_t>(&option - scene.options.data())];
  const auto n_nearer = std::ranges::count_if(distances, [&](double other) { return other < distance; });
  row.push_back(static_cast<float>(distance));
  row.push_back(static_cast<float>(n_nearer));
  row.push_back(any_near(body) ? 1 : 0);
  row.push_back(any_near(body.last(std::min<std::size_t>(2, body.size()))) ? 1 : 0);
  row.push_back(any_near(scene.question_numbers) ? 1 : 0);
}

void add_likeness(const Scene& scene, std::size_t index, std::vector<float>& row) {
  const Option& option = scene.options[index];
  double most = 0, sum = 0, n_shape = 0, n_unit = 0, n_first = 0;
  for (std::size_t j = 0; j < scene.options.size(); ++j) {
    const Option& other = scene.options[j];
    n_shape += other.shape == option.shape ? 1 : 0;
    n_unit += other.unit == option.unit ? 1 : 0;
    n_first += other.first_word == option.first_word ? 1 : 0;
    if (j == index) continue;
    const std::size_t common = n_common(option.trigrams, other.trigrams);
    const double likeness = share(common, option.trigrams.size() + other.trigrams.size() - common);
    most = std::max(most, likeness);
    sum += likeness;
  }
  const double n = static_cast<double>(scene.options.size());
  row.push_back(static_cast<float>(most));
  row.push_back(static_cast<float>(sum / std::max(n - 1, 1.0)));
  for (const double count : {n_shape, n_unit, n_first}) row.push_back(static_cast<float>(count / n));
}

// How much of the option the local text says; words that few options have count more.
void add_support(const Scene& scene, const Option& option, std::vector<float>& row) {
  double weight = 0, said = 0;
  for (const std::uint64_t word : option.words) {
    const double rarity = 1 / scene.n_options_with.at(word);
    weight += rarity;
    if (contains(scene.body_words, word)) said += rarity;
  }
  const Features news = without(option.words, scene.question_words);
  const std::size_t at = option.text.size() < 2 ? std::string::npos : scene.body.rfind(option.text);
  row.push_back(static_cast<float>(said / (weight + 1e-9)));
  row.push_back(static_cast<float>(share(n_common(option.words, scene.question_words), option.words.size())));
  row.push_back(static_cast<float>(share(n_common(news, scene.body_words), news.size())));
  row.push_back(static_cast<float>(share(n_common(option.trigrams, scene.body_end), option.trigrams.size())));
  row.push_back(at == std::string::npos ? -1 : static_cast<float>(share(at, scene.body.size())));
}

void add_wording(const Option& option, std::vector<float>& row) {
  const std::string_view text = option.text;
  const auto count = [&](std::string_view bytes) {
    return static_cast<float>(std::ranges::count_if(text, [&](char c) { return bytes.find(c) != bytes.npos; }));
  };
  const std::size_t last = text.find_last_not_of(" \n\t");
  row.push_back(last != text.npos && text[last] == '.' ? 1 : 0);
  row.push_back(!text.empty() && text[0] >= 'A' && text[0] <= 'Z' ? 1 : 0);
  row.push_back(count("\\$") > 0 ? 1 : 0);
  for (const std::string_view bytes : {"0123456789", ".", ",;", " "}) row.push_back(count(bytes));
  for (const std::string_view words : {"none of", "all of", "both", "only", "always", "never"}) {
    row.push_back(contains_ignoring_case(text, words) ? 1 : 0);
  }
  row.push_back(n_of(text, [](unsigned char c) { return c >= 0x80; }) > 0 ? 1 : 0);
}

// Each option's distance from the last number of the local text, as a ratio's logarithm.
std::vector<double> distances_of(const Scene& scene) {
  std::vector<double> distances;
  for (const Option& option : scene.options) {
    const bool has_both = !option.numbers.empty() && !scene.body_numbers.empty();
    const double far = has_both ? std::abs(std::log((std::abs(scene.body_numbers.back()) + 1e-9) /
                                                    (std::abs(option.numbers.front()) + 1e-9)))
                                : kFar;
    distances.push_back(std::min(far, kFar));
  }
  return distances;
}

void append_relative(std::vector<std::vector<float>>& rows) {
  std::array<float, kRelative> mean{};
  for (const auto& row : rows) {
    for (std::size_t k = 0; k < kRelative; ++k) mean[k] += row[k] / static_cast<float>(rows.size());
  }
  for (auto& row : rows) {
    for (std::size_t k = 0; k < kRelative; ++k) row.push_back(row[k] - mean[k]);
  }
}

}  // namespace

std::vector<std::vector<float>> option_signals(const Asked& asked, double kind_right_share) {
  const Scene scene = scene_of(asked);
  const std::vector<double> distances = distances_of(scene);
  std::vector<std::vector<float>> rows(asked.options.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Option& option = scene.options[i];
    add_length(scene, option, rows[i]);
    add_place_among_numbers(scene, i, rows[i]);
    add_number_matches(scene, option, distances, rows[i]);
    add_likeness(scene, i, rows[i]);
    add_support(scene, option, rows[i]);
    add_wording(option, rows[i]);
  }
  append_relative(rows);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const bool is_local = asked.local == Choice(static_cast<std::uint32_t>(i));
    const bool is_second = asked.has_second && asked.second == Choice(static_cast<std::uint32_t>(i));
    const bool agree = asked.second && asked.second == asked.local;
    for (const double value :
         {static_cast<double>(i), static_cast<double>(rows.size()), static_cast<double>(scene.is_numeric), static_cast<double>(is_local),
          static_cast<double>(is_second), static_cast<double>(agree), static_cast<double>(asked.has_second && !asked.second), kind_right_share,
          std::log(static_cast<double>(asked.local_chars) + 1)}) {
      rows[i].push_back(static_cast<float>(value));
    }
  }
  return rows;
}

}  // namespace hearth::advisor::gate
