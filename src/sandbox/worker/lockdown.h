// Gives up rights, for good: capabilities, files, system calls, resources.
//
// Each function is one step of a jail, does it or leaves a sentence; who gets a sentence runs
// nothing. `fail_step` makes the N-th step that a process takes fail as if the kernel refused it,
// so that a test can see that nothing runs then, whichever it is (protocol: the argument fail=N).
#pragma once

#include <cstdint>
#include <span>

#include "sandbox/worker/filters.h"
#include "sandbox/worker/trouble.h"

namespace hearth::sandbox {

// The step to fail, from 1; 0 for none.
void fail_step(std::uint32_t step);

// Uses no more of Landlock than its version `version` had, as if the kernel were that old
// (landlock=N); 0 for all that there is.
void limit_landlock(std::uint32_t version);

// No capabilities, nor a way to any: neither by running a program nor by being root.
bool drop_privileges(Trouble& trouble);

// The kernel shall choose this process when memory is short, and write no core of it.
bool be_expendable(Trouble& trouble);

struct Resource {
  int kind;  // RLIMIT_...
  std::uint64_t limit;
  std::uint64_t until_killed =
      0;  // RLIMIT_CPU: seconds between SIGXCPU, which says why, and SIGKILL.
};
bool limit_resources(std::span<const Resource> resources, Trouble& trouble);

enum class PathUse : std::uint8_t {
  kRead,    // And run.
  kWrite,   // Read and written, files made and removed; nothing is run.
  kDevice,  // Read, written and asked by ioctl, whatever devices are there.
};
struct AllowedPath {
  const char* path;
  PathUse use;
};
// Nothing of the file system but `allowed`.
// Where Landlock knows of them, no TCP, and no signals or abstract sockets to the outside either.
bool close_files(std::span<const AllowedPath> allowed, Trouble& trouble);

// For this thread and what it starts from now on.
bool filter_calls(Filter filter, Trouble& trouble);
// For all threads of this process at once.
bool filter_calls_of_all_threads(Filter filter, Trouble& trouble);
// As filter_calls(); `listener` is where its SECCOMP_RET_USER_NOTIF are asked.
bool filter_calls_with_listener(Filter filter, int& listener, Trouble& trouble);

}  // namespace hearth::sandbox
