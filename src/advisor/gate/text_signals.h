// What texts have in common, told without understanding them: words, numbers and runs of three bytes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::advisor::gate {

// Hashes, ascending, each once.
using Features = std::vector<std::uint64_t>;

inline constexpr std::size_t kNumbersMax = 512;  // Of one text; what comes after them is not looked at.

// Words (runs of letters) and numbers, in lower case and in order; the commonest English words are left out.
std::vector<std::uint64_t> words_of(std::string_view text);
Features distinct(std::vector<std::uint64_t> items);

// Each run of three bytes of the text in lower case, between spaces.
Features trigrams_of(std::string_view text);

std::size_t n_common(const Features& a, const Features& b);
bool contains(const Features& features, std::uint64_t item);
Features without(const Features& a, const Features& b);

// Numbers in order: "-1,024.5" as well as "6.02 \times 10^{23}", "6.02 x 10^23" and "6.02*10^23".
std::vector<double> numbers_of(std::string_view text);

// Within what rounding explains: 1.5 %.
bool is_near(double a, double b);

// The text before the words that announce the answer's letter ("The answer is ...").
std::string_view body_of(std::string_view answer);

// The letter that the text itself says is its answer ("answer is (C)"), as an index; -1: none.
int stated_choice(std::string_view answer);

// "3/4 x" and "5/8 x" have the same shape: digits as 0, runs of small letters as a, of capitals as A.
std::uint64_t shape_of(std::string_view text);
// What is left without digits and their punctuation: the unit of a quantity.
std::uint64_t unit_of(std::string_view text);

std::size_t n_of(std::string_view text, bool (*matches)(unsigned char));
bool contains_ignoring_case(std::string_view text, std::string_view lower_case_part);

}  // namespace hearth::advisor::gate
