// Rotary position embedding (Su et al. 2021, arxiv.org/abs/2104.09864): each pair of a
// head's elements is turned by an angle proportional to the token's position, so that the
// product of a query and a key depends on how far apart they are.
//
// Pair i turns by position * theta^(-2i / rope_dim), divided by the file's factor for that
// pair (llama 3, longrope), by the linear factor, or by YaRN's (Peng et al. 2023,
// arxiv.org/abs/2309.00071): pairs that turn often within the first context stay as they are,
// those that turn less than once are stretched, and a ramp joins the two.  The angles of a token
// are the same in every head and in every layer of one table, so their sines and cosines are
// computed once per forward pass.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/architecture_table.h"
#include "model/model.h"

namespace hearth::model {

// One kind of rotation of a model's heads.
struct Rope {
  std::vector<double> frequencies;  // [n_pairs] radians per position.
  double magnitude = 1.0;           // Cosines and sines are multiplied by it.
};

// `factors` [rope_dim / 2] may be null.
Rope make_rope(const RopeScaling& scaling, std::uint32_t rope_dim, const float* factors);

// out [2, n_pairs]: the cosines, then the sines, of the angles at `position`.
void rope_angles(const Rope& rope, std::uint32_t position, float* out);

// Turns one head's first 2 * n_pairs elements in place by `angles` (as rope_angles wrote them).
void rope_rotate(RopePairs pairs, const float* angles, std::uint32_t n_pairs, float* head);

}  // namespace hearth::model
