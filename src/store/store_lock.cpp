#include "store/store_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "base/file.h"

namespace hearth::store {
namespace {

namespace fs = std::filesystem;

constexpr auto kPatience = std::chrono::milliseconds(100);

Result<> make_folders(const gguf::StorePaths& store) {
  for (const fs::path& folder : {store.packs(), store.models(), store.vocab(), store.adapters()}) {
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) return std::unexpected(file_error("create the folder", folder, error.value()));
  }
  return {};
}

void remove_leftovers(const gguf::StorePaths& store) {
  for (const fs::path& folder : {store.packs(), store.models(), store.vocab(), store.adapters()}) {
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
      const bool is_ours = it->path().filename().native().starts_with(kTemporaryPrefix);
      std::error_code ignored;
      if (is_ours) fs::remove(it->path(), ignored);
    }
  }
}

}  // namespace

Result<StoreLock> StoreLock::take(const gguf::StorePaths& store,
                                  const std::function<bool()>& goes_on) {
  HEARTH_TRY_VOID(make_folders(store));
  const int fd = ::open(store.lock().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return std::unexpected(file_error("open the store's lock", store.lock(), errno));
  StoreLock lock(fd);
  while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      return std::unexpected(file_error("lock", store.lock(), errno));
    }
    if (goes_on && !goes_on()) {
      return fail(Code::kCancelled, "interrupted while another process wrote to the store");
    }
    std::this_thread::sleep_for(kPatience);
  }
  remove_leftovers(store);
  return lock;
}

StoreLock::StoreLock(StoreLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

StoreLock::~StoreLock() {
  if (fd_ >= 0) ::close(fd_);
}

Result<> write_store_file(const fs::path& path, std::string_view bytes) {
  std::string name = (path.parent_path() / (std::string(kTemporaryPrefix) + "XXXXXX")).string();
  const int fd = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd < 0) return std::unexpected(file_error("create", path, errno));
  int error = 0;
  while (!bytes.empty() && error == 0) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n >= 0) bytes.remove_prefix(static_cast<std::size_t>(n));
    if (n < 0 && errno != EINTR) error = errno;
  }
  if (error == 0 && ::fchmod(fd, 0644) != 0) error = errno;
  if (error == 0 && ::fsync(fd) != 0) error = errno;
  if (::close(fd) != 0 && error == 0) error = errno;
  if (error == 0 && ::rename(name.c_str(), path.c_str()) != 0) error = errno;
  if (error != 0) {
    ::unlink(name.c_str());
    return std::unexpected(file_error("write", path, error));
  }
  sync_folder(path.parent_path());
  return {};
}

}  // namespace hearth::store
