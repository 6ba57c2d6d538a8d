#include "sandbox/worker/lockdown.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace hearth::sandbox {
namespace {

std::uint32_t step_to_fail = 0;
std::uint32_t steps_taken = 0;
long landlock_version_max = 0;

// Counts a step; false where a test wants this one to fail.
bool step_allowed() {
  if (++steps_taken != step_to_fail) return true;
  errno = ENOSYS;
  return false;
}

bool system_refused(Trouble& trouble, const char* what) {
  const int error_number = errno;
  return refuse(trouble, what, " was refused by the system (", std::strerror(error_number), ")");
}

// Landlock's interface, of which older headers know a part; what it means is in the kernel's
// Documentation/userspace-api/landlock.rst.
struct LandlockRules {
  std::uint64_t handled_access_fs;
  std::uint64_t handled_access_net;  // From version 4.
  std::uint64_t scoped;              // From version 6.
};
constexpr std::uint64_t kRefer = 1U << 13;        // From version 2.
constexpr std::uint64_t kTruncate = 1U << 14;     // From version 3.
constexpr std::uint64_t kIoctlDevice = 1U << 15;  // From version 5.
constexpr std::uint64_t kBindTcp = 1U << 0, kConnectTcp = 1U << 1;
constexpr std::uint64_t kScopeAbstractSockets = 1U << 0, kScopeSignals = 1U << 1;

constexpr std::uint64_t kOfFirstVersion = (1U << 13) - 1;
constexpr std::uint64_t kReadAndRun =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kReadAndWrite =
    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_WRITE_FILE |
    LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |
    LANDLOCK_ACCESS_FS_MAKE_REG | kRefer | kTruncate;
// A folder of devices is no folder to make or remove anything in.
constexpr std::uint64_t kUseDevice = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
                                     LANDLOCK_ACCESS_FS_WRITE_FILE | kIoctlDevice;
constexpr std::uint64_t kForFiles = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                    LANDLOCK_ACCESS_FS_READ_FILE | kTruncate | kIoctlDevice;

std::uint64_t file_rights(long version) {
  return kOfFirstVersion | (version >= 2 ? kRefer : 0) | (version >= 3 ? kTruncate : 0) |
         (version >= 5 ? kIoctlDevice : 0);
}

bool allow_path(int ruleset, const AllowedPath& allowed, std::uint64_t handled, Trouble& trouble) {
  const int fd = ::open(allowed.path, O_PATH | O_CLOEXEC);
  struct stat status;
  if (fd < 0 || ::fstat(fd, &status) != 0) {
    const int error_number = errno;
    return refuse(trouble, "the path '", Foreign{allowed.path}, "' can't be opened (",
                  std::strerror(error_number), ")");
  }
  landlock_path_beneath_attr rule{};
  rule.allowed_access = handled & (allowed.use == PathUse::kDevice  ? kUseDevice
                                   : allowed.use == PathUse::kWrite ? kReadAndWrite
                                                                    : kReadAndRun);
  if (!S_ISDIR(status.st_mode)) rule.allowed_access &= kForFiles;
  rule.parent_fd = fd;
  const bool added =
      ::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
  if (!added) system_refused(trouble, "a rule of Landlock");
  ::close(fd);
  return added;
}

}  // namespace

void fail_step(std::uint32_t step) { step_to_fail = step; }
void limit_landlock(std::uint32_t version) { landlock_version_max = version; }

bool drop_privileges(Trouble& trouble) {
  if (!step_allowed() || ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return system_refused(trouble, "no_new_privs");
  }
  // Only root may, and only root needs it: without, uid 0 would regain capabilities by running a
  // program.
  ::prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                 SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
                                 SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  if (!step_allowed() || ::syscall(SYS_capset, &header, none) != 0) {
    return system_refused(trouble, "dropping capabilities");
  }
  return true;
}

bool be_expendable(Trouble& trouble) {
  const Resource no_core[] = {{RLIMIT_CORE, 0}};
  const int fd = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd >= 0) {  // Without /proc nothing is lost but the choice.
    [[maybe_unused]] const ssize_t written = ::write(fd, "1000", 4);
    ::close(fd);
  }
  return limit_resources(no_core, trouble);
}

bool limit_resources(std::span<const Resource> resources, Trouble& trouble) {
  for (const Resource& resource : resources) {
    rlimit limit{resource.limit, resource.limit + resource.until_killed};
    rlimit now{};
    const auto kind = static_cast<__rlimit_resource>(resource.kind);
    if (::getrlimit(kind, &now) == 0) {  // Only root may raise them, and nobody should.
      limit.rlim_max = std::min(limit.rlim_max, now.rlim_max);
      limit.rlim_cur = std::min(limit.rlim_cur, limit.rlim_max);
    }
    if (!step_allowed() || ::setrlimit(kind, &limit) != 0)
      return system_refused(trouble, "a resource limit");
  }
  return true;
}

bool close_files(std::span<const AllowedPath> allowed, Trouble& trouble) {
  long version = step_allowed() ? ::syscall(SYS_landlock_create_ruleset, nullptr, 0,
                                            LANDLOCK_CREATE_RULESET_VERSION)
                                : -1;
  if (version < 1) {
    return refuse(
        trouble,
        "this kernel has no Landlock, or it is switched off: Linux 5.13 or later with 'landlock' "
        "among its security modules (lsm=) is needed");
  }
  if (landlock_version_max != 0) version = std::min(version, landlock_version_max);
  LandlockRules rules{};
  rules.handled_access_fs = file_rights(version);
  if (version >= 4) rules.handled_access_net = kBindTcp | kConnectTcp;
  if (version >= 6) rules.scoped = kScopeAbstractSockets | kScopeSignals;
  const std::size_t bytes = version >= 6 ? 24 : version >= 4 ? 16 : 8;
  const long ruleset =
      step_allowed() ? ::syscall(SYS_landlock_create_ruleset, &rules, bytes, 0) : -1;
  if (ruleset < 0) return system_refused(trouble, "Landlock");
  for (const AllowedPath& path : allowed) {
    if (!allow_path(static_cast<int>(ruleset), path, rules.handled_access_fs, trouble))
      return false;
  }
  if (!step_allowed() || ::syscall(SYS_landlock_restrict_self, ruleset, 0) != 0) {
    return system_refused(trouble, "Landlock");
  }
  ::close(static_cast<int>(ruleset));
  return true;
}

bool filter_calls(Filter filter, Trouble& trouble) {
  sock_fprog program = filter.program();
  if (!step_allowed() || ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
    return system_refused(trouble, "a seccomp filter");
  }
  return true;
}

bool filter_calls_of_all_threads(Filter filter, Trouble& trouble) {
  sock_fprog program = filter.program();
  if (!step_allowed() || ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                                   SECCOMP_FILTER_FLAG_TSYNC, &program) != 0) {
    return system_refused(trouble, "a seccomp filter for all threads");
  }
  return true;
}

bool filter_calls_with_listener(Filter filter, int& listener, Trouble& trouble) {
  sock_fprog program = filter.program();
  const long fd = step_allowed() ? ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                                             SECCOMP_FILTER_FLAG_NEW_LISTENER, &program)
                                 : -1;
  if (fd < 0) return system_refused(trouble, "a seccomp filter with a listener");
  listener = static_cast<int>(fd);
  return true;
}

}  // namespace hearth::sandbox
