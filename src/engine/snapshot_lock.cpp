#include "engine/snapshot_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "base/file.h"

namespace hearth::engine {
namespace {

namespace fs = std::filesystem;

constexpr auto kPatience = std::chrono::milliseconds(10);
constexpr int kTriesMax = 500;

Result<> make_private(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder.parent_path(), error);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return std::unexpected(file_error("create the folder", folder, errno));
  }
  struct stat info{};
  if (::stat(folder.c_str(), &info) != 0) {
    return std::unexpected(file_error("stat", folder, errno));
  }
  if (info.st_uid != ::geteuid()) {
    return fail(Code::kPermissionDenied, fmt::format("the folder '{}' belongs to somebody else: no "
                                                     "snapshots are kept",
                                                     folder.string()));
  }
  if ((info.st_mode & 0077) != 0 && ::chmod(folder.c_str(), 0700) != 0) {
    return std::unexpected(file_error("close to others", folder, errno));
  }
  return {};
}

void remove_leftovers(const fs::path& folder) {
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (!it->path().filename().native().starts_with(kSnapshotTemporary)) continue;
    (void)::unlink(it->path().c_str());
  }
}

}  // namespace

Result<SnapshotLock> SnapshotLock::take(const fs::path& folder,
                                        const std::function<bool()>& goes_on) {
  HEARTH_TRY_VOID(make_private(folder));
  const fs::path path = folder / "lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return std::unexpected(file_error("open", path, errno));
  SnapshotLock lock(fd);
  for (int n_tries = 0; ::flock(fd, LOCK_EX | LOCK_NB) != 0; ++n_tries) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      return std::unexpected(file_error("lock", path, errno));
    }
    if (!goes_on()) return fail(Code::kCancelled, "others' snapshots are being written");
    if (n_tries == kTriesMax) {
      return fail(Code::kUnavailable,
                  fmt::format("another process keeps '{}' locked", path.string()));
    }
    std::this_thread::sleep_for(kPatience);
  }
  remove_leftovers(folder);
  return lock;
}

SnapshotLock::~SnapshotLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace hearth::engine
