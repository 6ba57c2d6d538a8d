#include "advisor/gate/text_signals.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <iterator>

#include "base/ascii.h"
#include "base/digest.h"

namespace hearth::advisor::gate {
namespace {

constexpr std::array<std::string_view, 42> kCommonWords = {
    "a",    "an",   "and",  "answer", "are",   "articles", "as",    "at", "be", "by",   "can",
    "for",  "from", "has",  "have",   "help",  "in",       "is",    "it", "its", "not", "of",
    "on",   "or",   "refer", "that",  "the",   "their",    "they",  "this", "to", "was", "we",
    "which", "wikipedia", "will", "with", "were", "these", "there", "so", "been"};

bool is_common(std::string_view word) { return std::ranges::find(kCommonWords, word) != kCommonWords.end(); }

// Takes `part` off the front of `text`.
bool take(std::string_view& text, std::string_view part) {
  if (!text.starts_with(part)) return false;
  text.remove_prefix(part.size());
  return true;
}

void skip_spaces(std::string_view& text) {
  while (take(text, " ") || take(text, "\n")) {
  }
}

bool take_minus(std::string_view& text) {
  return take(text, "-") || take(text, "\u2212") || take(text, "\u2013");
}

// Digits with commas between them, and a fraction.
std::string take_decimal(std::string_view& text) {
  std::string digits;
  bool has_point = false;
  while (!text.empty()) {
    const char c = text.front();
    const bool is_point = c == '.' && !has_point;
    if (!is_digit(c) && !(c == ',' && !has_point) && !is_point) break;
    has_point |= is_point;
    if (c != ',') digits.push_back(c);
    text.remove_prefix(1);
  }
  return digits;
}

// " \times 10^{-3}" and its like; 0 where nothing of the kind follows.
int take_exponent(std::string_view& text) {
  std::string_view rest = text;
  skip_spaces(rest);
  if (!take(rest, "\\times") && !take(rest, "\u00d7") && !take(rest, "x") && !take(rest, "*")) return 0;
  skip_spaces(rest);
  if (!take(rest, "10")) return 0;
  skip_spaces(rest);
  take(rest, "^");
  skip_spaces(rest);
  take(rest, "{");
  const bool is_negative = take_minus(rest);
  int exponent = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), exponent);
  if (error != std::errc() || exponent < 0 || exponent > 300) return 0;
  text = rest.substr(static_cast<std::size_t>(end - rest.data()));
  return is_negative ? -exponent : exponent;
}

}  // namespace

std::vector<std::uint64_t> words_of(std::string_view text) {
  std::vector<std::uint64_t> words;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i;
    if (is_alpha(text[i])) {
      while (end < text.size() && is_alpha(text[end])) ++end;
    } else if (is_digit(text[i])) {
      while (end < text.size() && is_digit(text[end])) ++end;
      if (end + 1 < text.size() && text[end] == '.' && is_digit(text[end + 1])) ++end;
      while (end < text.size() && is_digit(text[end])) ++end;
    } else {
      ++i;
      continue;
    }
    const std::string word = lower(text.substr(i, end - i));
    if (!is_common(word)) words.push_back(hash64(word));
    i = end;
  }
  return words;
}

Features distinct(std::vector<std::uint64_t> items) {
  std::ranges::sort(items);
  const auto rest = std::ranges::unique(items);
  items.erase(rest.begin(), rest.end());
  return items;
}

Features trigrams_of(std::string_view text) {
  const std::string padded = " " + lower(text) + " ";
  std::vector<std::uint64_t> runs;
  for (std::size_t i = 0; i + 3 <= padded.size(); ++i) {
    const auto byte = [&](std::size_t k) { return std::uint64_t{static_cast<unsigned char>(padded[i + k])}; };
    runs.push_back(byte(0) << 16 | byte(1) << 8 | byte(2));
  }
  return distinct(std::move(runs));
}

std::size_t n_common(const Features& a, const Features& b) {
  std::size_t n = 0;
  for (auto i = a.begin(), j = b.begin(); i != a.end() && j != b.end();) {
    if (*i == *j) ++n, ++i, ++j;
    else if (*i < *j) ++i;
    else ++j;
  }
  return n;
}

bool contains(const Features& features, std::uint64_t item) {
  return std::ranges::binary_search(features, item);
}

Features without(const Features& a, const Features& b) {
  Features rest;
  std::ranges::set_difference(a, b, std::back_inserter(rest));
  return rest;
}

std::vector<double> numbers_of(std::string_view text) {
  std::vector<double> numbers;
  while (!text.empty() && numbers.size() < kNumbersMax) {
    std::string_view rest = text;
    const bool is_negative = take_minus(rest);
    if (rest.empty() || !is_digit(rest.front())) {
      text.remove_prefix(1);
      continue;
    }
    const std::string digits = take_decimal(rest);
    double value = 0;
    if (std::from_chars(digits.data(), digits.data() + digits.size(), value).ec == std::errc()) {
      value *= std::pow(10.0, take_exponent(rest));
      if (std::isfinite(value)) numbers.push_back(is_negative ? -value : value);
    }
    text = rest;
  }
  return numbers;
}

bool is_near(double a, double b) { return std::abs(a - b) <= 0.015 * std::abs(b) + 1e-9; }

std::string_view body_of(std::string_view answer) { return answer.substr(0, answer.find("The answer is")); }

int stated_choice(std::string_view answer) {
  constexpr std::string_view kWords = "answer is ";
  const std::size_t at = answer.rfind(kWords);
  if (at == std::string_view::npos) return -1;
  std::string_view rest = answer.substr(at + kWords.size());
  while (take(rest, "*") || take(rest, "(") || take(rest, "\\boxed{")) {
  }
  const bool is_letter_alone = !rest.empty() && rest[0] >= 'A' && rest[0] <= 'Z' && (rest.size() == 1 || !is_alpha(rest[1]));
  return is_letter_alone ? rest[0] - 'A' : -1;
}

std::uint64_t shape_of(std::string_view text) {
  std::string shape;
  for (const char c : text) {
    const char kind = is_digit(c) ? '0' : c >= 'a' && c <= 'z' ? 'a' : c >= 'A' && c <= 'Z' ? 'A' : c;
    const bool goes_on = !shape.empty() && shape.back() == kind && (kind == '0' || kind == 'a' || kind == 'A');
    if (!goes_on) shape.push_back(kind);
  }
  return hash64(shape);
}

std::uint64_t unit_of(std::string_view text) {
  std::string unit;
  std::ranges::copy_if(text, std::back_inserter(unit),
                       [](char c) { return !is_digit(c) && std::string_view(".,- \t\n").find(c) == std::string_view::npos; });
  return hash64(unit);
}

std::size_t n_of(std::string_view text, bool (*matches)(unsigned char)) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [&](char c) { return matches(static_cast<unsigned char>(c)); }));
}

bool contains_ignoring_case(std::string_view text, std::string_view lower_case_part) {
  return lower(text).find(lower_case_part) != std::string::npos;
}

}  // namespace hearth::advisor::gate
