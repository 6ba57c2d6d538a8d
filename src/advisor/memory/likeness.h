// Whether two questions are the same question in other words.
//
// A wrong match answers somebody else's question, and a missed one costs a call: so this errs towards
// missing.  A question is the sequence of its words and signs; politeness, articles, punctuation at the ends of
// words, a plural's s and the capital of a sentence's first word are left out, and common ways to put a question
// ("how can I", "what is the meaning of") count as one.  Likeness is twice the longest common subsequence over both
// lengths; order counts, since "euros to dollars" is not "dollars to euros".  Words with digits, signs, names and
// negations must all be common, whatever the threshold.
//
// Of paraphrases.txt's 50 pairs that mean the same a likeness of 1 finds 19 (without the ways of putting them, none),
// and of its 76 that only look alike none.  Less than 1 buys little and is wrong often: advice_store_test measures it.
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
