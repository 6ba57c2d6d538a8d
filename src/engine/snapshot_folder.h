// The snapshots of one folder: read, written, bounded, shared with other hubs.
//
// It is a cache and nothing more: any file may vanish or be damaged at any time (another hub
// evicts, a person deletes, a disk fails), and all that follows is that a prompt is computed.  So
// nothing is ever synced: a file that a crash of the machine cut off has not its sums.  A file is
// written beside its place and renamed, under the folder's lock; what a killed writer left is
// dropped by the next one.  Files hold what people wrote: 0600 in a folder of 0700.
//
// What goes first when room is short: files of other builds and those that no text leads to any
// more, then of those that nothing goes on from the one with the most bytes times age for the time
// that it saves.  A file's time of change is its last use, so that all hubs of a folder see the same.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/snapshot_index.h"
#include "model/kv_layout.h"

namespace hearth::engine {

inline constexpr std::size_t kSnapshotFilesMax = 65'536;
// A session that adds less than this to what is there is not written.
inline constexpr std::uint32_t kSnapshotNewTokensMin = model::kPageTokens;

struct SnapshotFolderOptions {
  std::filesystem::path folder;
  std::uint64_t bytes_max = std::uint64_t{4} << 30;
  std::uint64_t disk_free_bytes_min = std::uint64_t{512} << 20;  // Left to others.
};

struct SnapshotHit {
  std::vector<StoredPage> pages;  // From the page on that was asked for.
  std::uint32_t n_tokens = 0;     // Of the text, that are known with these.
  std::uint64_t logits_file = 0;  // Whose logits follow the whole text; 0: nobody's.
};

// What a session leaves: pages with keys and values for all of its tokens.
struct SnapshotDraft {
  SnapshotText text;
  std::vector<const std::byte*> pages;  // [pages of text.tokens], unchanging until it is written.
  model::KvLayout layout;
  std::uint32_t n_prompt = 0;           // `logits` follow so many tokens.
  std::vector<float> logits;            // [n_vocab], or empty.
  std::uint64_t token_us = 0;           // What a token took to compute; 0: not known.
  std::string label;
};

struct SnapshotInfo {
  std::string file, label;
  std::uint32_t n_tokens = 0;         // Of its own.
  std::uint32_t n_prefix_tokens = 0;  // With those before.
  std::uint64_t bytes = 0;
  std::int64_t used_unix_s = 0;
  bool has_logits = false;
  bool is_of_this_build = false;
};

struct SnapshotFolderStats {
  std::uint64_t files = 0, bytes = 0;  // There now.
  std::uint64_t files_written = 0, bytes_written = 0, evicted = 0, damaged = 0;
  std::uint64_t not_written = 0;       // Sessions, for want of room, of the lock or of an able disk.
};

// Threading: any thread.  Looking things up waits for nobody who reads or writes a file.
class SnapshotFolder {
 public:
  explicit SnapshotFolder(SnapshotFolderOptions options) : options_(std::move(options)) {}

  // Reads the heads of files that are new since the last time; cheap if none are.  A folder that is
  // not there is empty.
  Result<> refresh();

  // How much of `text` is there, given that the pages before `first_page` are in memory.
  SnapshotHit find(const SnapshotText& text, std::uint32_t first_page) const;

  // Reads the hit's pages to `to` [hit.pages.size()][page_bytes of the text] and its logits; returns
  // how many of the first pages came whole.  What is damaged is deleted; `logits` are empty then.
  std::uint32_t read(const SnapshotHit& hit, std::span<std::byte* const> to,
                     std::vector<float>& logits);

  // Writes what of the draft is not there yet; gives up, with kCancelled, once `goes_on` says no.
  // After an error of the disk's writing rests for a while, with one notice in the log.
  Result<> save(const SnapshotDraft& draft, const std::function<bool()>& goes_on);

  // All files, the latest used first.
  std::vector<SnapshotInfo> list();
  // Deletes all; how many there were.
  Result<std::uint64_t> drop_all();

  SnapshotFolderStats stats() const;

 private:
  struct Run {  // A file to be written: pages [begin, end) of a draft, up to n_tokens of its text.
    std::uint32_t begin = 0, end = 0, n_tokens = 0;
    bool with_logits = false;
  };
  struct Place {  // Where a page or the logits lie.
    std::string name;
    std::uint64_t file_bytes = 0, offset = 0, sum = 0;
    std::size_t bytes = 0;
  };
  class OpenFile;

  std::filesystem::path path_of(const std::string& name) const { return options_.folder / name; }
  Result<SnapshotIndex::File> read_head(const std::string& name) const;
  void refresh_names(const std::vector<std::string>& names);
  void remember_folder();

  std::uint32_t read_pages(const SnapshotHit& hit, std::span<std::byte* const> to);
  std::uint32_t read_part(const SnapshotHit& hit, std::span<std::byte* const> to,
                          std::uint32_t begin, std::uint32_t end);
  bool read_place(const Place& place, std::uint64_t file, OpenFile& open, std::byte* to);
  Place place_of(const StoredPage& page) const;
  Place place_of_logits(std::uint64_t file) const;
  void drop_damaged(std::uint64_t file, const std::string& name, const std::string& why);

  Result<> save_locked(const SnapshotDraft& draft, const std::function<bool()>& goes_on);
  std::vector<Run> runs_of(const SnapshotDraft& draft) const;
  Result<> write_run(const SnapshotDraft& draft, const Run& run,
                     const std::function<bool()>& goes_on);
  Result<> write_file(const SnapshotDraft& draft, const Run& run, SnapshotHead& head, int fd,
                      const std::function<bool()>& goes_on) const;
  Result<> put_in_place(const std::string& temporary, SnapshotIndex::File file);
  Result<> make_room(std::uint64_t bytes);
  void read_times();
  bool rests();
  void rest_after(const Error& error);

  const SnapshotFolderOptions options_;
  // Held while the folder is looked through or changed, so that a look never forgets a file that came
  // during it; never for the time that a file takes to be written.  Before mutex_.
  std::mutex folder_mutex_;
  mutable std::mutex mutex_;                   // Guards what follows.
  SnapshotIndex index_;
  std::array<std::int64_t, 4> folder_seen_{};  // Device, inode and time of change at the last look.
  SnapshotFolderStats totals_;
  std::int64_t rests_until_s_ = 0;
  bool has_told_of_damage_ = false;
};

}  // namespace hearth::engine
