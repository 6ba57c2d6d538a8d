// Whether two answers to a question say the same, as far as that shows without understanding them.
#pragma once

#include <string_view>

namespace hearth::advisor::gate {

// By the first of these that both answers have: the option that they state, the last number, and else most of
// their words (two thirds of those of the shorter one).
bool answers_agree(std::string_view a, std::string_view b);

}  // namespace hearth::advisor::gate
