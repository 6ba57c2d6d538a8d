// Quotients and multiples, rounded up.
#pragma once

#include <cstdint>

namespace hearth::compute {

// Of what is at least 0 by what is at least 1.
constexpr std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
constexpr std::int64_t round_up(std::int64_t a, std::int64_t b) { return divide_up(a, b) * b; }

}  // namespace hearth::compute
