#include "store/pull.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <thread>
#include <utility>

#include "base/digest.h"
#include "base/file.h"
#include "net/http_get.h"

namespace hearth::store {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kReadBytes = std::size_t{1} << 20;
constexpr std::chrono::milliseconds kPauseMax{30'000};
constexpr int kStatusWhole = 200;
constexpr int kStatusPart = 206;
constexpr int kStatusBadRange = 416;

// FILE.partial, open and locked against a second pull of the same file.
class PartialFile {
 public:
  static Result<PartialFile> open(const fs::path& path) {
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    if (error) return std::unexpected(file_error("make the folder", path.parent_path(), error.value()));
    PartialFile file;
    file.path_ = path;
    file.fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (file.fd_ < 0) return std::unexpected(file_error("write", path, errno));
    if (::flock(file.fd_, LOCK_EX | LOCK_NB) != 0) {
      return fail(Code::kUnavailable, fmt::format("'{}' is being pulled by another program already", path.string()));
    }
    return file;
  }
  PartialFile(PartialFile&& other) noexcept : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}
  PartialFile& operator=(PartialFile&&) = delete;
  ~PartialFile() {
    if (fd_ >= 0) ::close(fd_);
  }

  std::uint64_t size() const {
    struct stat info {};
    return ::fstat(fd_, &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
  }
  // Bytes from `offset` on; 0 at the end.
  Result<std::size_t> read(std::uint64_t offset, std::string& buffer) const {
    const ssize_t n = ::pread(fd_, buffer.data(), buffer.size(), static_cast<off_t>(offset));
    if (n < 0) return std::unexpected(file_error("read", path_, errno));
    return static_cast<std::size_t>(n);
  }
  Result<> write(std::uint64_t offset, std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return std::unexpected(file_error("write", path_, errno));
      bytes.remove_prefix(static_cast<std::size_t>(n));
      offset += static_cast<std::uint64_t>(n);
    }
    return {};
  }
  Result<> cut(std::uint64_t bytes) const {
    if (::ftruncate(fd_, static_cast<off_t>(bytes)) != 0) return std::unexpected(file_error("shorten", path_, errno));
    return {};
  }
  // Makes it durable under its final name.
  Result<> finish(const fs::path& path) const {
    if (::fsync(fd_) != 0) return std::unexpected(file_error("write", path_, errno));
    if (::rename(path_.c_str(), path.c_str()) != 0) return std::unexpected(file_error("name", path, errno));
    sync_folder(path.parent_path());
    return {};
  }

 private:
  PartialFile() = default;
  fs::path path_;
  int fd_ = -1;
};

// One file of a plan on its way here.
class Fetch {
 public:
  Fetch(const PullFile& wanted, std::size_t index, const PullControl& control, PartialFile file)
      : wanted_(wanted), control_(control), file_(std::move(file)) {
    progress_.file = index;
    progress_.total = wanted.bytes;
  }

  Result<> run() {
    HEARTH_TRY_VOID(take_over());
    HEARTH_TRY_VOID(fetch_rest());
    HEARTH_TRY_VOID(check_digest());
    return file_.finish(wanted_.path);
  }

 private:
  bool stopped() const { return control_.is_stopped && control_.is_stopped(); }
  void report() const {
    if (control_.on_progress) control_.on_progress(progress_);
  }
  std::unexpected<Error> cancelled() const {
    return fail(Code::kCancelled, fmt::format("stopped with {} of {} bytes here; pull again to go on",
                                              progress_.bytes, progress_.total));
  }

  // Hashes what an earlier run left.
  Result<> take_over() {
    if (wanted_.bytes != 0 && file_.size() > wanted_.bytes) return start_over();
    std::string buffer(kReadBytes, '\0');
    progress_.is_checking = true;
    while (true) {
      if (stopped()) return cancelled();
      HEARTH_TRY(const std::size_t n, file_.read(progress_.bytes, buffer));
      if (n == 0) break;
      hash_->update(std::string_view(buffer).substr(0, n));
      progress_.bytes += n;
      report();
    }
    progress_.is_checking = false;
    return {};
  }

  Result<> start_over() {
    hash_.emplace();
    progress_.bytes = 0;
    return file_.cut(0);
  }

  bool is_complete() const { return is_whole_ || (wanted_.bytes != 0 && progress_.bytes == wanted_.bytes); }

  // Attempt after attempt; only those in a row that bring nothing are counted.
  Result<> fetch_rest() {
    std::uint32_t n_failed = 0;
    std::chrono::milliseconds pause = control_.pause;
    while (!is_complete()) {
      const std::uint64_t before = progress_.bytes;
      const Result<> attempt = fetch_once();
      if (stopped()) return cancelled();
      if (attempt) continue;
      if (attempt.error().code != Code::kUnavailable) return attempt;
      if (progress_.bytes > before) {
        n_failed = 0;
        pause = control_.pause;
      }
      if (++n_failed >= control_.attempts_max) {
        return fail(Code::kUnavailable, fmt::format("{}; {} bytes are kept, pull again to go on",
                                                    attempt.error().message, progress_.bytes));
      }
      if (!wait(pause)) return cancelled();
      pause = std::min(pause * 2, kPauseMax);
    }
    return {};
  }

  bool wait(std::chrono::milliseconds pause) const {
    const auto end = std::chrono::steady_clock::now() + pause;
    while (std::chrono::steady_clock::now() < end) {
      if (stopped()) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return true;
  }

  Result<> fetch_once() {
    error_.reset();
    const net::HttpGetEnd end = net::http_get(
        {.url = wanted_.url, .bearer_token = wanted_.token, .accept = {}, .first_byte = progress_.bytes},
        {.on_head = [this](const net::HttpResponseHead& head) { return take_head(head); },
         .on_body = [this](std::string_view piece) { return take_body(piece); },
         .is_stopped = control_.is_stopped});
    if (error_) return std::unexpected(*error_);
    if (end.failure != net::HttpFailure::kNone) {
      return fail(Code::kUnavailable, fmt::format("'{}': {}", wanted_.url, end.detail));
    }
    is_whole_ = wanted_.bytes == 0;  // Nobody said how long it is: it ends where the answer ends.
    if (is_complete()) return {};
    return fail(Code::kUnavailable, fmt::format("'{}' ended after {} of {} bytes", wanted_.url, progress_.bytes,
                                                wanted_.bytes));
  }

  bool take_head(const net::HttpResponseHead& head) {
    if (head.status == kStatusPart) {
      const std::string* const range = head.find("Content-Range");
      if (range != nullptr && range->starts_with(fmt::format("bytes {}-", progress_.bytes))) return true;
      error_ = Error{Code::kUnavailable, fmt::format("'{}' goes on elsewhere than it was asked to", wanted_.url)};
      return false;
    }
    if (head.status != kStatusWhole && head.status != kStatusBadRange) {
      error_ = net::http_status_error(head.status, wanted_.url);
      return false;
    }
    // From the beginning after all, or from where it has nothing.
    if (const auto cut = start_over(); !cut) error_ = cut.error();
    if (head.status == kStatusBadRange && !error_) {
      error_ = Error{Code::kUnavailable, fmt::format("'{}' has no bytes to go on with", wanted_.url)};
    }
    return !error_;
  }

  bool take_body(std::string_view piece) {
    if (stopped()) return false;
    if (wanted_.bytes != 0 && piece.size() > wanted_.bytes - progress_.bytes) {
      error_ = Error{Code::kCorrupt, fmt::format("'{}' is longer than the {} bytes that the registry lists",
                                                 wanted_.url, wanted_.bytes)};
      return false;
    }
    if (const auto written = file_.write(progress_.bytes, piece); !written) {
      error_ = written.error();
      return false;
    }
    hash_->update(piece);
    progress_.bytes += piece.size();
    report();
    return true;
  }

  Result<> check_digest() {
    const std::string found = to_hex(hash_->finish());
    if (wanted_.sha256.empty() || found == wanted_.sha256) return {};
    HEARTH_TRY_VOID(file_.cut(0));
    return fail(Code::kCorrupt, fmt::format("'{}' arrived damaged: its SHA-256 is {} and not {}; pull it again",
                                            wanted_.url, found, wanted_.sha256));
  }

  const PullFile& wanted_;
  const PullControl& control_;
  PartialFile file_;
  PullProgress progress_;
  std::optional<Sha256Stream> hash_{std::in_place};
  std::optional<Error> error_;  // Of the attempt, from inside the transfer.
  bool is_whole_ = false;
};

fs::path partial_path(const PullFile& file) { return file.path.string() + ".partial"; }

bool is_here(const PullFile& file) {
  std::error_code error;
  const std::uint64_t bytes = fs::file_size(file.path, error);
  return !error && (file.bytes == 0 || bytes == file.bytes);
}

// The nearest folder above `path` that is there.
fs::path existing_parent(fs::path path) {
  std::error_code error;
  while (!path.empty() && !fs::exists(path, error) && path != path.parent_path()) path = path.parent_path();
  return path;
}

Result<> check_space(const PullPlan& plan) {
  std::uint64_t needed = 0;
  for (const PullFile& file : plan.files) {
    if (is_here(file)) continue;
    std::error_code error;
    const std::uint64_t partial = fs::file_size(partial_path(file), error);
    needed += file.bytes - std::min(file.bytes, error ? 0 : partial);
  }
  if (needed == 0) return {};
  const fs::path folder = existing_parent(plan.files.front().path);
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  if (error || space.available >= needed) return {};
  return fail(Code::kOutOfBudget,
              fmt::format("'{}' needs {} bytes more and '{}' has {} free: make room or set another folder", plan.name,
                          needed, folder.string(), space.available));
}

}  // namespace

Result<> pull(const PullPlan& plan, const PullControl& control) {
  HEARTH_TRY_VOID(check_space(plan));
  for (std::size_t i = 0; i < plan.files.size(); ++i) {
    const PullFile& file = plan.files[i];
    if (is_here(file)) continue;
    HEARTH_TRY(PartialFile partial, PartialFile::open(partial_path(file)));
    HEARTH_TRY_VOID(Fetch(file, i, control, std::move(partial)).run());
  }
  return {};
}

}  // namespace hearth::store
