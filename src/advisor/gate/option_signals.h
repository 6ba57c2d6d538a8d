// What tells which of a question's options is right, without knowing the answer: how each option differs
// from the others, and what the local answer's text has of it.
//
// Wrong options are made up around the right one, so the right one tends to lie among near neighbours;
// it is said more fully; and a text that argues for one option while its letter names another gives
// itself away.  None of this is knowledge of the subject, and all of it is free.
#pragma once

#include <vector>

#include "advisor/gate/pair_row.h"

namespace hearth::advisor::gate {

// One row of numbers per option, all rows of equal length whatever the question.  `kind_right_share` is how
// often the local model is right in such questions.
std::vector<std::vector<float>> option_signals(const Asked& asked, double kind_right_share);

}  // namespace hearth::advisor::gate
