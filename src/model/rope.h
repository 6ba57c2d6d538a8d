// Rotary position embedding (Su et al. 2021, arxiv.org/abs/2104.09864): each pair of a
// head's elements is turned by an angle proportional to the token's position, so that the
// product of a query and a key depends on how far apart they are.
//
// Pair i turns by position * theta^(-2i / rope_dim), divided by the file's factor for that
// pair (llama 3) or by the linear scale.  The angles of a token are the same in every layer
// and head, so their sines and cosines are computed once per forward pass.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/architecture_table.h"
#include "model/model.h"

namespace hearth::model {

// Radians per position of each pair [rope_dim / 2]; `factors` may be null.
std::vector<double> rope_frequencies(const ModelConfig& config, const float* factors);

// out [2, n_pairs]: the cosines, then the sines, of the angles at `position`.
void rope_angles(std::span<const double> frequencies, std::uint32_t position, float* out);

// Turns one head's first 2 * n_pairs elements in place by `angles` (as rope_angles wrote them).
void rope_rotate(RopePairs pairs, const float* angles, std::uint32_t n_pairs, float* head);

}  // namespace hearth::model
