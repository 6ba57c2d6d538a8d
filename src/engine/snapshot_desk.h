// The threads that read and write snapshots, so that the engine's never waits for a disk.
//
// Requests carry a ticket and come back as news with it.  A reader looks texts up and reads pages,
// a writer saves what sessions left.  Pages belong to the engine: it shares them with the desk for
// as long as a ticket is under way, and what a ticket's pages hold must not change meanwhile.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <variant>
#include <vector>

#include "base/mailbox.h"
#include "engine/snapshot_folder.h"

namespace hearth::engine {

struct SnapshotNews {
  enum class Kind : std::uint8_t { kFound, kRead, kSaved };
  Kind kind{};
  std::uint64_t ticket = 0;
  SnapshotHit hit;            // kFound.
  std::uint32_t n_read = 0;   // kRead: so many of the first pages are whole,
  std::vector<float> logits;  // and what follows the text, if that was there too.
};

// Threading: any thread.
class SnapshotDesk {
 public:
  // `wake` is called, from the desk's threads, when there is news.
  SnapshotDesk(SnapshotFolderOptions options, std::function<void()> wake);
  ~SnapshotDesk();  // What waits to be written is given up; what is under way ends first.

  void look(std::uint64_t ticket, SnapshotText text, std::uint32_t first_page);
  // To `to` [hit.pages.size()], as SnapshotFolder::read.
  void read(std::uint64_t ticket, SnapshotHit hit, std::vector<std::byte*> to);
  void save(std::uint64_t ticket, SnapshotDraft draft);

  // What was asked to be saved so far is given up: its pages are wanted.
  void recall() { recalled_.store(last_saved_.load()); }

  std::vector<SnapshotNews> take_news();
  // The same; waits for the first until `deadline`.
  std::vector<SnapshotNews> wait_for_news(std::chrono::steady_clock::time_point deadline);

  SnapshotFolder& folder() { return folder_; }

 private:
  struct Look {
    std::uint64_t ticket;
    SnapshotText text;
    std::uint32_t first_page;
  };
  struct Read {
    std::uint64_t ticket;
    SnapshotHit hit;
    std::vector<std::byte*> to;
  };
  struct Save {
    std::uint64_t ticket, number;
    SnapshotDraft draft;
  };
  struct Stop {};

  void reader_loop();
  void writer_loop();
  void answer(Look& look, SnapshotNews& news);
  void answer(Read& read, SnapshotNews& news);
  void answer(Save& save);
  void tell(SnapshotNews news);

  SnapshotFolder folder_;
  const std::function<void()> wake_;
  std::atomic<std::uint64_t> last_saved_ = 0;  // Numbers of drafts, in the order of their coming.
  std::atomic<std::uint64_t> recalled_ = 0;    // Up to here.
  std::atomic<bool> is_stopping_ = false;
  std::atomic<bool> has_told_of_folder_ = false;
  Mailbox<std::variant<Look, Read, Stop>> reads_;
  Mailbox<std::variant<Save, Stop>> saves_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<SnapshotNews> news_;
  std::thread reader_, writer_;
};

}  // namespace hearth::engine
