// Whether whoever asked for something is still there: long work looks now and then, and ends when
// not.
#pragma once

#include <functional>

namespace hearth::compute {

// Empty: always.
using StillWanted = std::function<bool()>;

inline bool is_wanted(const StillWanted& still_wanted) { return !still_wanted || still_wanted(); }

}  // namespace hearth::compute
