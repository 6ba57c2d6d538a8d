// How snapshots come to the disk, and which leave it for them.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "base/file.h"
#include "base/log.h"
#include "base/program_identity.h"
#include "engine/snapshot_folder.h"
#include "engine/snapshot_lock.h"
#include "model/kv_page.h"

namespace hearth::engine {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kPageTokens = model::kPageTokens;
constexpr std::int64_t kRestS = 600;           // After an error of the disk's.
constexpr std::uint64_t kFilesPerFolderMin = 8;  // A file has at most this part of the room.

std::uint32_t pages_of(std::uint32_t n_tokens) { return (n_tokens + kPageTokens - 1) / kPageTokens; }

Error cancelled() { return {Code::kCancelled, "a snapshot was given up for its pages"}; }

Result<> write_at(int fd, std::span<const std::byte> bytes, std::uint64_t offset,
                  const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EFBIG) errno = ENOSPC;  // A quota by another name.
    if (n < 0) return std::unexpected(file_error("write", path, errno));
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

// The digest of the draft's text before its page `end`.
Sha256 digest_before(const SnapshotText& text, std::uint32_t end) {
  Sha256 digest = text.key;
  for (std::uint32_t page = 0; page < end; ++page) {
    const auto tokens = std::span(text.tokens).subspan(std::size_t{page} * kPageTokens, kPageTokens);
    digest = page_digest(digest, text.adapters.key_before((page + 1) * kPageTokens), tokens);
  }
  return digest;
}

// What a file is called: the text that it ends, where it begins, and whether logits follow.
std::string name_of(const SnapshotHead& head) {
  Sha256 digest = head.parent;
  for (std::uint32_t page = 0; page < head.n_pages(); ++page) {
    digest = page_digest(digest, head.adapters[page], head.page_tokens(page));
  }
  return fmt::format("{}-{}{}{}", to_hex(std::span(digest).first(16)), head.first_page,
                     head.n_logits > 0 ? "-l" : "", kSnapshotSuffix);
}

}  // namespace

Result<> SnapshotFolder::save(const SnapshotDraft& draft, const std::function<bool()>& goes_on) {
  if (rests()) return {};
  auto saved = save_locked(draft, goes_on);
  if (saved) return saved;
  {
    const std::lock_guard lock(mutex_);
    ++totals_.not_written;
  }
  const Code code = saved.error().code;
  // A folder that was deleted while it was written to is made anew the next time.
  if (code != Code::kCancelled && code != Code::kUnavailable && code != Code::kNotFound) {
    rest_after(saved.error());
  }
  return saved;
}

bool SnapshotFolder::rests() {
  const std::lock_guard lock(mutex_);
  if (std::time(nullptr) >= rests_until_s_) return false;
  ++totals_.not_written;
  return true;
}

void SnapshotFolder::rest_after(const Error& error) {
  {
    const std::lock_guard lock(mutex_);
    rests_until_s_ = std::time(nullptr) + kRestS;
  }
  log_warn("engine", fmt::format("{}: no snapshots are written for {} minutes", error.message,
                                 kRestS / 60));
}

Result<> SnapshotFolder::save_locked(const SnapshotDraft& draft,
                                     const std::function<bool()>& goes_on) {
  HEARTH_TRY(const SnapshotLock lock, SnapshotLock::take(options_.folder, goes_on));
  HEARTH_TRY_VOID(refresh());
  for (const Run& run : runs_of(draft)) HEARTH_TRY_VOID(write_run(draft, run, goes_on));
  return {};
}

// The files that the draft still needs: one that ends with the prompt and has its logits, and one
// for what came after.
std::vector<SnapshotFolder::Run> SnapshotFolder::runs_of(const SnapshotDraft& draft) const {
  const auto n_tokens = static_cast<std::uint32_t>(draft.text.tokens.size());
  const std::lock_guard lock(mutex_);
  const SnapshotMatch all = index_.match(draft.text, n_tokens);
  auto n_whole = static_cast<std::uint32_t>(all.whole.size());
  std::uint32_t n_known = n_whole * kPageTokens + all.n_part;
  if (n_tokens < n_known + kSnapshotNewTokensMin) return {};

  std::vector<Run> runs;
  if (!draft.logits.empty()) {
    const SnapshotMatch prompt = index_.match(draft.text, draft.n_prompt);
    if (prompt.logits_file == 0) {
      const std::uint32_t end = pages_of(draft.n_prompt);
      const auto begin = std::min(static_cast<std::uint32_t>(prompt.whole.size()), end - 1);
      runs.push_back({begin, end, draft.n_prompt, true});
      n_whole = std::max(n_whole, draft.n_prompt / kPageTokens);
      n_known = std::max(n_known, draft.n_prompt);
    }
  }
  if (n_known < n_tokens) runs.push_back({n_whole, pages_of(n_tokens), n_tokens, false});

  // Long ones in parts, so that no file takes too much of the room, or of a head.
  std::vector<Run> parts;
  const std::uint64_t fitting =
      options_.bytes_max / kFilesPerFolderMin / std::max<std::size_t>(1, draft.text.page_bytes);
  const auto most = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(fitting, 1, kSnapshotPagesMax));
  for (Run run : runs) {
    for (; run.end - run.begin > most; run.begin += most) {
      const std::uint32_t end = run.begin + most;
      parts.push_back({run.begin, end, end * kPageTokens, false});
    }
    parts.push_back(run);
  }
  return parts;
}

Result<> SnapshotFolder::write_run(const SnapshotDraft& draft, const Run& run,
                                   const std::function<bool()>& goes_on) {
  SnapshotHead head{.build = program_identity(),
                    .key = draft.text.key,
                    .parent = digest_before(draft.text, run.begin),
                    .first_page = run.begin,
                    .page_bytes = draft.text.page_bytes,
                    .token_us = draft.token_us,
                    .label = draft.label.substr(0, kSnapshotLabelBytesMax)};
  const auto begin = static_cast<std::ptrdiff_t>(run.begin * kPageTokens);
  head.tokens.assign(draft.text.tokens.begin() + begin,
                     draft.text.tokens.begin() + static_cast<std::ptrdiff_t>(run.n_tokens));
  for (std::uint32_t page = run.begin; page < run.end; ++page) {
    const std::uint32_t end = std::min((page + 1) * kPageTokens, run.n_tokens);
    head.adapters.push_back(draft.text.adapters.key_before(end));
  }
  head.page_sums.resize(run.end - run.begin);
  if (run.with_logits) {
    head.n_logits = static_cast<std::uint32_t>(draft.logits.size());
    head.logits_sum = hash64(std::as_bytes(std::span(draft.logits)));
  }
  const std::string name = name_of(head);
  {
    const std::lock_guard lock(mutex_);
    if (index_.find(name) != nullptr) return {};
  }
  HEARTH_TRY_VOID(make_room(head.file_bytes()));

  std::string temporary = (options_.folder / kSnapshotTemporary).string() + "XXXXXX";
  const int fd = ::mkostemp(temporary.data(), O_CLOEXEC);  // For its owner alone.
  if (fd < 0) return std::unexpected(file_error("create", temporary, errno));
  auto written = write_file(draft, run, head, fd, goes_on);
  if (::close(fd) != 0 && written) written = std::unexpected(file_error("write", temporary, errno));
  SnapshotIndex::File file{.name = name, .bytes = head.file_bytes()};
  file.head = std::move(head);
  if (written) written = put_in_place(temporary, std::move(file));
  if (!written) (void)::unlink(temporary.c_str());
  return written;
}

Result<> SnapshotFolder::put_in_place(const std::string& temporary, SnapshotIndex::File file) {
  const std::lock_guard folder_lock(folder_mutex_);
  const fs::path path = path_of(file.name);
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    return std::unexpected(file_error("replace", path, errno));
  }
  file.used_unix_s = std::time(nullptr);
  {
    const std::lock_guard lock(mutex_);
    ++totals_.files_written;
    totals_.bytes_written += file.bytes;
    index_.add(std::move(file));
  }
  remember_folder();
  return {};
}

// Pages and logits, and then the head, which has their sums.
Result<> SnapshotFolder::write_file(const SnapshotDraft& draft, const Run& run, SnapshotHead& head,
                                    int fd, const std::function<bool()>& goes_on) const {
  const fs::path path = path_of("");
  std::vector<std::byte> unfinished;
  for (std::uint32_t i = 0; i < head.n_pages(); ++i) {
    if (!goes_on()) return std::unexpected(cancelled());
    std::span<const std::byte> page(draft.pages[run.begin + i], head.page_bytes);
    const auto n_tokens = static_cast<std::uint32_t>(head.page_tokens(i).size());
    if (n_tokens < kPageTokens) {
      unfinished.assign(page.begin(), page.end());
      model::clear_slots(draft.layout, n_tokens, unfinished.data());
      page = unfinished;
    }
    head.page_sums[i] = hash64(page);
    HEARTH_TRY_VOID(write_at(fd, page, head.page_offset(i), path));
  }
  if (head.n_logits > 0) {
    HEARTH_TRY_VOID(write_at(fd, std::as_bytes(std::span(draft.logits)), head.logits_offset(), path));
  }
  const std::string bytes = encode_snapshot_head(head);
  return write_at(fd, std::as_bytes(std::span(bytes)), 0, path);
}

// What other hubs used since.
void SnapshotFolder::read_times() {
  const std::lock_guard lock(mutex_);
  for (const auto& [number, file] : index_.files()) {
    struct stat info{};
    if (::stat(path_of(file.name).c_str(), &info) == 0) index_.touch(number, info.st_mtim.tv_sec);
  }
}

// Drops files until `bytes` more are within the limit; kOutOfBudget if they never will be, or if the
// disk has too little left for others.
Result<> SnapshotFolder::make_room(std::uint64_t bytes) {
  if (bytes > options_.bytes_max) {
    return fail(Code::kUnavailable, fmt::format("a snapshot of {} bytes is over the limit of {}",
                                                bytes, options_.bytes_max));
  }
  const std::lock_guard folder_lock(folder_mutex_);
  bool has_times = false;
  for (;;) {
    std::string name;
    {
      const std::lock_guard lock(mutex_);
      const bool has_room = index_.bytes() + bytes <= options_.bytes_max &&
                            index_.files().size() < kSnapshotFilesMax;
      if (has_room) break;
      if (has_times) {
        const std::uint64_t worst = index_.least_valuable(std::time(nullptr), program_identity());
        const SnapshotIndex::File* const file = index_.find(worst);
        if (file == nullptr) break;
        name = file->name;
        index_.forget(worst);
        ++totals_.evicted;
      }
    }
    if (!has_times) {
      read_times();
      has_times = true;
      continue;
    }
    if (::unlink(path_of(name).c_str()) != 0 && errno != ENOENT) {
      return std::unexpected(file_error("delete", path_of(name), errno));
    }
  }
  struct statvfs disk{};
  if (::statvfs(options_.folder.c_str(), &disk) != 0) return {};
  if (disk.f_bavail * disk.f_frsize < bytes + options_.disk_free_bytes_min) {
    return fail(Code::kOutOfBudget, fmt::format("the disk of '{}' is nearly full",
                                                options_.folder.string()));
  }
  return {};
}

// What was changed by this process needs no look.
void SnapshotFolder::remember_folder() {
  struct stat info{};
  if (::stat(options_.folder.c_str(), &info) != 0) return;
  const std::lock_guard lock(mutex_);
  folder_seen_ = {static_cast<std::int64_t>(info.st_dev), static_cast<std::int64_t>(info.st_ino),
                  info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
}

}  // namespace hearth::engine
