// Whether two questions are the same question in other words.
//
// A wrong match answers somebody else's question, and a missed one costs a call: so this errs towards
// missing.  A question is the sequence of its words and signs; politeness, articles, punctuation at the ends of
// words, a plural's s and the capital of a sentence's first word are left out.  Likeness is twice the longest common
// subsequence over both lengths; order counts, since "euros to dollars" is not "dollars to euros".  Words
// with digits, signs, names and negations must all be common, whatever the threshold.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hearth::advisor {

inline constexpr std::size_t kLikenessWordsMax = 2'000;  // A longer question is like nothing.

// Empty: there is nothing to compare, or too much.
std::vector<std::string> question_words(std::string_view question);

// In [0, 1]; 1: the same words in the same order.
double likeness(const std::vector<std::string>& a, const std::vector<std::string>& b);

}  // namespace hearth::advisor
