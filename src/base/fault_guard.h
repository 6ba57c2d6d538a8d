// A mapped file that shrinks, or whose disk fails, must not end the process.
//
// Touching a page that the file no longer has raises SIGBUS, which by default kills.  A guarded
// range gets zeros there instead, and says from then on that it is damaged: whoever computed with
// it asks before the result is used.  That is all a signal handler can do; it also keeps memory
// pressure harmless, which never raises SIGBUS.
#pragma once

#include <cstddef>
#include <span>

namespace hearth {

// Guards one mapping from its making to its unmapping (end the guard first).
//
// Threading: is_damaged() from any thread; the guard itself moves between threads like a value.
class FaultGuard {
 public:
  FaultGuard() = default;
  // At most kGuardsMax at once; beyond that the range is not guarded.
  explicit FaultGuard(std::span<const std::byte> mapping);
  ~FaultGuard();
  FaultGuard(FaultGuard&& other) noexcept;
  FaultGuard& operator=(FaultGuard&& other) noexcept;

  // Whether some page of it could not be read and is zeros now.
  bool is_damaged() const;

  static constexpr std::size_t kGuardsMax = 8192;

 private:
  std::size_t slot_ = kGuardsMax;  // kGuardsMax: none.
};

}  // namespace hearth
