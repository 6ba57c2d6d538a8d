// What test_support/attempts.cpp does for which first integer.
#pragma once

#include <cstdint>

namespace hearth::sandbox {

inline constexpr int kAnsweredWord = 16;  // RunChannel::answered, in words of 32 bits.

enum class Attempt : std::int64_t {
  kNothing,
  kScale,       // buffers[0][i] = buffers[1][i] * reals[0], for i < integers[1]
  kCallSystem,  // integers[1]: number; integers[2..7]: arguments
  kLoop,
  kLoopUntilGivenUp,
  kWriteByte,  // buffers[0] + integers[1]
  kReadByte,   // buffers[integers[2]] + integers[1]
  kPoisonFloats,
  kNoteFloats,  // MXCSR's control bits, and the x87's word << 16, to buffers[0]; then poisons them
  kRecurse,
  kDivideByZero,
  kBadInstruction,
  kBreakpoint,
  kReadClock,
  kCallSystem32,
  kBackwards,        // Leaves the direction flag set.
  kParallelSquares,  // buffers[0][i] += i * i, for i < integers[1]
  kNestedSquares,    // The same for i < 8 * integers[1].
  kParallelFault,
  kParallelNoteFloats,
  kParallelCallSystem,
  kParallelLoop,  // So many tasks that they never end.
  kFakeAnswer,    // Says that it is done, and goes on.
  kScribble,      // Writes all over the channel for ever.
  kScribbleOnce,  // integers[1] to each byte of the channel.
  kMath,          // exp and sinf of reals[0]
  kCount,         // Calls so far.
};

}  // namespace hearth::sandbox
