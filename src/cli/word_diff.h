// What differs between two texts, word by word.
#pragma once

#include <string>
#include <string_view>

namespace hearth::cli {

// The words of both in their order: "The sky is [-green-]{+blue+}."  Texts of more than 4,000 words each are
// shown one after the other.
std::string word_diff(std::string_view before, std::string_view after);

// The share of words, in [0, 1], that both have in common, in their order.
double common_words(std::string_view before, std::string_view after);

}  // namespace hearth::cli
