// The 5-point stencil on a grid of doubles: Jacobi's sweeps and successive over-relaxation.
//
// A sweep of Jacobi reads and writes 8 bytes a cell and computes next to nothing, so it runs at the
// memory's speed; several sweeps are run as one pass: each thread goes down a tile with the last
// rows of every sweep but the last in the cache, a sweep one row behind the one before it.  Rows and
// columns at a tile's edges are computed by both neighbours.
//
// Relaxation updates red cells ((i + j) even) and then black ones, each from neighbours of the other
// colour.  A task updates a row's red cells and then the black ones of the row above, while both lie in
// the cache; black cells at its edges wait for its neighbours.
//
// Each cell is one expression of its neighbours, so bits depend on neither threads nor instruction
// set (D2).
#pragma once

#include <cstdint>

#include "compute/builtin/workers.h"

namespace hearth::compute {

// out[n, m] = u[n, m] after so many sweeps (at least 0); the border stays as it is.  Rows are
// contiguous; out and u don't overlap.  Takes one more grid beyond kSweepsOfPass sweeps.
void jacobi5(std::int64_t n, std::int64_t m, const double* u, std::int64_t sweeps, double* out,
             const Workers& workers);
inline constexpr std::int64_t kSweepsOfPass = 8;

// u[n, m] after so many sweeps of u += omega (mean of the neighbours - rhs / 4 - u), red and then
// black.  With the grid's width squared times f as rhs it solves u_xx + u_yy = f.
void sor_red_black(std::int64_t n, std::int64_t m, const double* rhs, double omega,
                   std::int64_t sweeps, double* u, const Workers& workers);

}  // namespace hearth::compute
