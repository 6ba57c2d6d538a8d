// Looking, reading and deleting; what writes is in snapshot_save.cpp.
#include "engine/snapshot_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <thread>
#include <unordered_set>

#include "base/cores.h"
#include "base/file.h"
#include "base/log.h"
#include "base/program_identity.h"
#include "engine/catch_error.h"
#include "engine/snapshot_lock.h"

namespace hearth::engine {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kPageTokens = model::kPageTokens;
constexpr std::uint32_t kReadThreadsMax = 4;
constexpr std::uint64_t kReadBytesPerThread = std::uint64_t{4} << 20;

// Reads `bytes` whole from `offset` on.
bool read_all(int fd, std::span<std::byte> bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t n = ::pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return true;
}

std::vector<std::string> snapshot_names(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::string name = it->path().filename().string();
    if (!name.ends_with(kSnapshotSuffix) || name.starts_with('.')) continue;
    if (names.size() == kSnapshotFilesMax) break;
    names.push_back(std::move(name));
  }
  return names;
}

}  // namespace

// One file, open for reading: pages of a hit come in runs of the same one.
class SnapshotFolder::OpenFile {
 public:
  OpenFile() = default;
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() { close(); }

  // Opens `name`, unless it is open, and notes the use; 0, or errno.
  int use(const fs::path& path, const std::string& name) {
    if (fd_ >= 0 && name == name_) return 0;
    const int error = open(path, name);
    // Where that is refused it only ages.
    if (error == 0) (void)::futimens(fd_, nullptr);
    return error;
  }
  int open(const fs::path& path, const std::string& name) {
    close();
    fd_ = ::open((path / name).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd_ < 0) return errno;
    name_ = name;
    struct stat info{};
    bytes_ = ::fstat(fd_, &info) == 0 && S_ISREG(info.st_mode)
                 ? static_cast<std::uint64_t>(info.st_size)
                 : 0;
    return 0;
  }
  int fd() const { return fd_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  int fd_ = -1;
  std::string name_;
  std::uint64_t bytes_ = 0;
};

Result<SnapshotIndex::File> SnapshotFolder::read_head(const std::string& name) const {
  OpenFile open;
  const fs::path path = path_of(name);
  const int error = open.open(options_.folder, name);
  if (error != 0) return std::unexpected(file_error("open", path, error));
  struct stat info{};
  if (::fstat(open.fd(), &info) != 0) return std::unexpected(file_error("stat", path, errno));
  std::vector<std::byte> bytes(kSnapshotAlign);
  if (open.bytes() < kSnapshotAlign || !read_all(open.fd(), bytes, 0)) {
    return fail(Code::kCorrupt, "a snapshot of less than a head");
  }
  HEARTH_TRY(const std::size_t head_bytes, snapshot_head_bytes(bytes));
  bytes.resize(head_bytes);
  if (!read_all(open.fd(), std::span(bytes).subspan(kSnapshotAlign), kSnapshotAlign)) {
    return fail(Code::kCorrupt, "a snapshot whose head is cut off");
  }
  SnapshotIndex::File file{.name = name, .bytes = open.bytes()};
  HEARTH_TRY(file.head, decode_snapshot_head(bytes, open.bytes()));
  file.used_unix_s = info.st_mtim.tv_sec;
  return file;
}

Result<> SnapshotFolder::refresh() {
  const std::lock_guard folder_lock(folder_mutex_);
  struct stat info{};
  if (::stat(options_.folder.c_str(), &info) != 0) {
    refresh_names({});
    return {};
  }
  if (info.st_uid != ::geteuid()) {
    return fail(Code::kPermissionDenied,
                fmt::format("the folder '{}' belongs to somebody else: no snapshots are kept",
                            options_.folder.string()));
  }
  const std::array<std::int64_t, 4> now = {static_cast<std::int64_t>(info.st_dev),
                                           static_cast<std::int64_t>(info.st_ino),
                                           info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
  {
    const std::lock_guard lock(mutex_);
    if (folder_seen_ == now) return {};
    folder_seen_ = now;
  }
  refresh_names(snapshot_names(options_.folder));
  return {};
}

// Makes the index agree with the names that the folder has.
void SnapshotFolder::refresh_names(const std::vector<std::string>& names) {
  std::vector<std::string> unknown;
  {
    const std::lock_guard lock(mutex_);
    const std::unordered_set<std::string> there(names.begin(), names.end());
    std::vector<std::uint64_t> gone;
    for (const auto& [number, file] : index_.files()) {
      if (!there.contains(file.name)) gone.push_back(number);
    }
    for (const std::uint64_t number : gone) index_.forget(number);
    for (const std::string& name : names) {
      if (index_.find(name) == nullptr) unknown.push_back(name);
    }
  }
  for (const std::string& name : unknown) {
    auto file = read_head(name);
    if (file) {
      const std::lock_guard lock(mutex_);
      index_.add(*std::move(file));
    } else if (file.error().code == Code::kCorrupt) {
      drop_damaged(0, name, file.error().message);
    }
  }
}

SnapshotHit SnapshotFolder::find(const SnapshotText& text, std::uint32_t first_page) const {
  const std::lock_guard lock(mutex_);
  const auto n_tokens = static_cast<std::uint32_t>(text.tokens.size());
  SnapshotMatch match = index_.match(text, n_tokens, first_page);
  SnapshotHit hit{.pages = std::move(match.whole), .logits_file = match.logits_file};
  hit.n_tokens = (first_page + static_cast<std::uint32_t>(hit.pages.size())) * kPageTokens;
  if (match.n_part > 0) hit.pages.push_back(match.part);
  hit.n_tokens += match.n_part;
  return hit;
}

SnapshotFolder::Place SnapshotFolder::place_of(const StoredPage& page) const {
  const std::lock_guard lock(mutex_);
  const SnapshotIndex::File* const file = index_.find(page.file);
  if (file == nullptr) return {};
  return {file->name, file->bytes, file->head.page_offset(page.page),
          file->head.page_sums[page.page], file->head.page_bytes};
}

SnapshotFolder::Place SnapshotFolder::place_of_logits(std::uint64_t number) const {
  const std::lock_guard lock(mutex_);
  const SnapshotIndex::File* const file = index_.find(number);
  if (file == nullptr) return {};
  return {file->name, file->bytes, file->head.logits_offset(), file->head.logits_sum,
          std::size_t{file->head.n_logits} * sizeof(float)};
}

void SnapshotFolder::drop_damaged(std::uint64_t number, const std::string& name,
                                  const std::string& why) {
  (void)::unlink(path_of(name).c_str());
  bool is_first = false;
  {
    const std::lock_guard lock(mutex_);
    index_.forget(number);
    ++totals_.damaged;
    is_first = !has_told_of_damage_;
    has_told_of_damage_ = true;
  }
  const std::string line = fmt::format("dropped '{}': {}; its prompt is computed again",
                                       path_of(name).string(), why);
  is_first ? log_warn("engine", line) : log_debug("engine", line);
}

// Reads what lies at `place` to `to` and holds it against its sum; drops the file if it fails.
bool SnapshotFolder::read_place(const Place& place, std::uint64_t file, OpenFile& open,
                                std::byte* to) {
  if (place.name.empty()) return false;
  const int error = open.use(options_.folder, place.name);
  if (error == ENOENT) {
    const std::lock_guard lock(mutex_);
    index_.forget(file);
    return false;
  }
  if (error != 0) {
    drop_damaged(file, place.name, fmt::format("it can't be opened ({})", std::strerror(error)));
    return false;
  }
  const std::span bytes(to, place.bytes);
  if (open.bytes() == place.file_bytes && read_all(open.fd(), bytes, place.offset) &&
      hash64(bytes) == place.sum) {
    return true;
  }
  drop_damaged(file, place.name, "its bytes are not those that were written");
  return false;
}

// Reads pages [begin, end) of the hit; the first one that did not come whole, or `end`.
std::uint32_t SnapshotFolder::read_part(const SnapshotHit& hit, std::span<std::byte* const> to,
                                        std::uint32_t begin, std::uint32_t end) {
  OpenFile open;
  for (std::uint32_t i = begin; i < end; ++i) {
    const StoredPage& page = hit.pages[i];
    if (!read_place(place_of(page), page.file, open, to[i])) return i;
  }
  return end;
}

// In parts, by as many threads as pay: copying, summing and the kernel's first touch of memory are
// each bound by one core.
std::uint32_t SnapshotFolder::read_pages(const SnapshotHit& hit, std::span<std::byte* const> to) {
  const auto n_pages = static_cast<std::uint32_t>(hit.pages.size());
  if (n_pages == 0) return 0;
  const std::uint64_t bytes = n_pages * place_of(hit.pages.front()).bytes;
  const std::uint64_t n_wanted = bytes / kReadBytesPerThread + 1;
  static const unsigned n_cores = usable_cores();
  const auto n_parts = static_cast<std::uint32_t>(
      std::min<std::uint64_t>({n_wanted, kReadThreadsMax, n_cores, n_pages}));
  std::array<std::uint32_t, kReadThreadsMax> ends{};
  const auto begin_of = [&](std::uint32_t part) { return part * n_pages / n_parts; };
  const auto read_one = [&](std::uint32_t part) {
    ends[part] = begin_of(part);
    (void)catch_error(
        [&] { ends[part] = read_part(hit, to, begin_of(part), begin_of(part + 1)); });
  };
  {
    std::vector<std::jthread> others;
    for (std::uint32_t part = 1; part < n_parts; ++part) others.emplace_back(read_one, part);
    read_one(0);
  }
  for (std::uint32_t part = 0; part < n_parts; ++part) {
    if (ends[part] < begin_of(part + 1)) return ends[part];
  }
  return n_pages;
}

std::uint32_t SnapshotFolder::read(const SnapshotHit& hit, std::span<std::byte* const> to,
                                   std::vector<float>& logits) {
  logits.clear();
  const std::uint32_t n_read = read_pages(hit, to);
  {
    const std::lock_guard lock(mutex_);
    for (const StoredPage& page : hit.pages) index_.touch(page.file, std::time(nullptr));
  }
  if (hit.logits_file == 0 || n_read < hit.pages.size()) return n_read;
  OpenFile open;
  const Place place = place_of_logits(hit.logits_file);
  logits.resize(place.bytes / sizeof(float));
  if (!read_place(place, hit.logits_file, open, reinterpret_cast<std::byte*>(logits.data()))) {
    logits.clear();
  }
  return n_read;
}

std::vector<SnapshotInfo> SnapshotFolder::list() {
  (void)refresh();
  std::vector<SnapshotInfo> all;
  const std::lock_guard lock(mutex_);
  for (const auto& [number, file] : index_.files()) {
    const SnapshotHead& head = file.head;
    all.push_back({.file = file.name,
                   .label = head.label,
                   .n_tokens = head.n_tokens(),
                   .n_prefix_tokens = head.first_page * kPageTokens + head.n_tokens(),
                   .bytes = file.bytes,
                   .used_unix_s = file.used_unix_s,
                   .has_logits = head.n_logits > 0,
                   .is_of_this_build = head.build == program_identity()});
  }
  std::ranges::sort(all, std::greater{}, &SnapshotInfo::used_unix_s);
  return all;
}

Result<std::uint64_t> SnapshotFolder::drop_all() {
  std::error_code ignored;
  if (!fs::exists(options_.folder, ignored)) return 0U;
  HEARTH_TRY(const SnapshotLock lock, SnapshotLock::take(options_.folder, [] { return true; }));
  std::uint64_t n_dropped = 0;
  for (const std::string& name : snapshot_names(options_.folder)) {
    if (::unlink(path_of(name).c_str()) == 0) {
      ++n_dropped;
    } else if (errno != ENOENT) {
      return std::unexpected(file_error("delete", path_of(name), errno));
    }
  }
  HEARTH_TRY_VOID(refresh());
  return n_dropped;
}

SnapshotFolderStats SnapshotFolder::stats() const {
  const std::lock_guard lock(mutex_);
  SnapshotFolderStats stats = totals_;
  stats.files = index_.files().size();
  stats.bytes = index_.bytes();
  return stats;
}

}  // namespace hearth::engine
