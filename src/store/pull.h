// Fetching a plan's files: each into FILE.partial, which grows over as many attempts (and as many
// runs of the program) as it takes, is checked against its digest, and only then gets its name.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

#include "base/result.h"
#include "store/pull_plan.h"

namespace hearth::store {

struct PullProgress {
  std::size_t file = 0;      // Index in the plan.
  std::uint64_t bytes = 0;   // Of this file that are here.
  std::uint64_t total = 0;   // 0: not known.
  bool is_checking = false;  // Bytes of an earlier attempt are read again for the digest.
};

struct PullControl {
  std::function<void(const PullProgress& progress)> on_progress;  // Often; must be quick.
  // Once true, the pull ends; what came is kept.  Asked often.
  std::function<bool()> is_stopped;
  std::uint32_t attempts_max = 8;  // In a row without a new byte.
  std::chrono::milliseconds pause{500};  // After the first failed attempt; doubles, up to 30 s.
};

// Fetches what is not here yet.  kUnavailable: the line broke for good (a later pull goes on from
// there); kCancelled; kCorrupt: the bytes do not have the digest that the registry names (they are
// dropped); kOutOfBudget: the disk is too full, said before anything is fetched;
// kPermissionDenied, kNotFound: by the registry or the file system.
Result<> pull(const PullPlan& plan, const PullControl& control);

}  // namespace hearth::store
