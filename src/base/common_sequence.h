// What two sequences have in common, in order: a longest common subsequence of theirs.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace hearth {

// Goes through both sequences from their beginnings: `both(x)` for an element of the subsequence, `left(x)` and
// `right(x)` for those that only `a` or only `b` has.  Returns the subsequence's length.
//
// Costs two bytes and a comparison for each pair, so callers have a limit, of 65,535 elements at most.
template <class T, class Both, class Left, class Right>
std::size_t walk_common(const std::vector<T>& a, const std::vector<T>& b, Both&& both, Left&& left, Right&& right) {
  // lengths[i * width + j]: of the subsequence of what follows a[i] and b[j], themselves included.
  const std::size_t width = b.size() + 1;
  std::vector<std::uint16_t> lengths((a.size() + 1) * width);
  for (std::size_t i = a.size(); i-- > 0;) {
    for (std::size_t j = b.size(); j-- > 0;) {
      std::uint16_t* const here = &lengths[i * width + j];
      *here = a[i] == b[j] ? static_cast<std::uint16_t>(here[width + 1] + 1) : std::max(here[width], here[1]);
    }
  }
  for (std::size_t i = 0, j = 0; i < a.size() || j < b.size();) {
    if (i < a.size() && j < b.size() && a[i] == b[j]) {
      both(a[i]);
      ++i, ++j;
    } else if (j == b.size() || (i < a.size() && lengths[(i + 1) * width + j] >= lengths[i * width + j + 1])) {
      left(a[i++]);
    } else {
      right(b[j++]);
    }
  }
  return lengths[0];
}

}  // namespace hearth
