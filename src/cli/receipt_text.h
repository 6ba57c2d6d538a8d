// A receipt as a person reads it.
#pragma once

#include <string>

#include "hub/chat.h"

namespace hearth::cli {

// One line: "ember · 23 tokens · first after 41 ms, 310 tokens/s · confidence 0.97 · ...".
std::string receipt_line(const hub::Receipt& receipt);

}  // namespace hearth::cli
