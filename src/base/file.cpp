#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace hearth {
namespace {

// Closes a descriptor on scope exit.
class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

Code code_of(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ENOTDIR: return Code::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS: return Code::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
    case ENOMEM: return Code::kOutOfBudget;
    case EISDIR:
    case ENAMETOOLONG: return Code::kInvalidArgument;
    default: return Code::kInternal;
  }
}

// Opens `path` for reading and returns its size; only regular files pass.
Result<std::size_t> regular_size(const Fd& fd, const std::filesystem::path& path) {
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return std::unexpected(file_error("stat", path, errno));
  if (!S_ISREG(info.st_mode)) {
    return fail(Code::kInvalidArgument, fmt::format("'{}' is not a regular file", path.string()));
  }
  return static_cast<std::size_t>(info.st_size);
}

Result<> write_all(int fd, std::string_view bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::unexpected(file_error("write", path, errno));
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

}  // namespace

void sync_folder(const std::filesystem::path& folder) {
  const Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() >= 0) (void)::fsync(fd.get());
}

Error file_error(std::string_view what, const std::filesystem::path& path, int error_number) {
  return Error{code_of(error_number),
               fmt::format("cannot {} '{}': {}", what, path.string(), std::strerror(error_number))};
}

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) return std::unexpected(file_error("open", path, errno));
  HEARTH_TRY(const std::size_t size, regular_size(fd, path));

  MappedFile file;
  file.path_ = path;
  if (size == 0) return file;
  void* const data = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (data == MAP_FAILED) return std::unexpected(file_error("map", path, errno));
  file.data_ = static_cast<const std::byte*>(data);
  file.size_ = size;
  file.guard_ = FaultGuard(file.bytes());
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      guard_(std::move(other.guard_)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(guard_, other.guard_);
  return *this;
}

MappedFile::~MappedFile() {
  guard_ = {};  // Before its addresses can become another mapping's.
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

Result<std::string> read_file(const std::filesystem::path& path, std::size_t max_bytes) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) return std::unexpected(file_error("open", path, errno));
  HEARTH_TRY(const std::size_t size, regular_size(fd, path));
  if (size > max_bytes) {
    return fail(Code::kInvalidArgument, fmt::format("'{}' has {} bytes, at most {} are read",
                                                    path.string(), size, max_bytes));
  }
  // The size is only a hint: files under /proc report none and still have content.
  std::string text;
  text.reserve(size);
  char buffer[65536];
  for (;;) {
    const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::unexpected(file_error("read", path, errno));
    if (n == 0) return text;
    text.append(buffer, static_cast<std::size_t>(n));
    if (text.size() > max_bytes) {
      return fail(Code::kInvalidArgument,
                  fmt::format("'{}' has more than {} bytes", path.string(), max_bytes));
    }
  }
}

Result<> write_file_atomic(const std::filesystem::path& path, std::string_view bytes) {
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return std::unexpected(file_error("create the folder of", path, error.value()));

  std::string name = path.string() + ".XXXXXX";
  const Fd fd(::mkostemp(name.data(), O_CLOEXEC));
  if (fd.get() < 0) return std::unexpected(file_error("create", path, errno));
  auto written = write_all(fd.get(), bytes, path);
  if (written && ::fsync(fd.get()) != 0) written = std::unexpected(file_error("sync", path, errno));
  if (written && ::rename(name.c_str(), path.c_str()) != 0) {
    written = std::unexpected(file_error("replace", path, errno));
  }
  if (!written) {
    ::unlink(name.c_str());
    return written;
  }
  sync_folder(folder);
  return {};
}

}  // namespace hearth
