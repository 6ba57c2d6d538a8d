// A mapped file's pages, brought in in the order in which they are needed while what is there
// already is computed with.
//
// Why not page faults: a fault stops one thread of a kernel in the middle of a product, reads as
// much as the kernel's readahead thinks fit, and a disk error or a cut-off file arrives as a
// signal.  Here a few threads read pieces of some MiB (two of them reach the disk's speed and cost
// a hundredth of a core), whoever computes waits for a *stage* at once, where nothing is half
// done, and an error is an error.  Pages that are in memory already take 0.6 ms per GB to map as
// large pages, so there is one path for both.
//
// Extents are cut at large pages.  An extent belongs to the first stage that needs any byte of it;
// within a stage they follow the file.  They are given back from the last stage on, so that what
// is half there can begin at once.
//
// All streams of a reader share one lock: it is taken some hundred times a second, and by those who
// compute only where something is missing.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "base/mapped_pages.h"
#include "base/result.h"

namespace hearth {

class PageStream;

// How urgently pages are wanted; the most urgent are read first.
enum class Want : std::uint8_t {
  kNothing,
  kGuess,  // Somebody may ask for them: read at rest, and slowly while others compute.
  kSoon,   // Somebody asked for what they belong to.
  kNow,    // Somebody waits for them.
};

struct PageReaderOptions {
  unsigned n_threads = 2;
  // The seam: what brings a range in; tests let it fail and wait.
  std::function<int(std::span<const std::byte>)> bring_in = hearth::bring_in;
};

struct PageReaderStats {
  std::uint64_t bytes_asked = 0, bytes_guessed = 0;  // Brought in, by who wanted them.
  std::uint64_t bytes_wasted = 0;  // Of what was guessed: given back before anybody asked for it.
};

// The threads that read.
//
// Threading: any thread.  Outlives its streams: they share it.
class PageReader {
 public:
  explicit PageReader(PageReaderOptions options = {});
  ~PageReader();
  PageReader(const PageReader&) = delete;
  PageReader& operator=(const PageReader&) = delete;

  PageReaderStats stats() const;

 private:
  friend class PageStream;
  struct Piece {
    PageStream* stream = nullptr;
    std::size_t extent = 0;
    Want want = Want::kNothing;
  };

  void read();
  Piece next_piece();
  void end_guess(std::chrono::steady_clock::duration took);

  PageReaderOptions options_;
  mutable std::mutex mutex_;  // Guards what follows, and all streams.
  std::condition_variable work_, done_;
  std::vector<PageStream*> streams_;  // Oldest wish first.
  PageReaderStats stats_;
  std::uint32_t n_passes_ = 0;  // Of all streams: who computes,
  std::chrono::steady_clock::time_point passed_at_{};  // and when the last one ended.
  std::chrono::steady_clock::time_point guesses_rest_until_{};
  bool is_guessing_ = false, is_stopping_ = false;
  std::vector<std::thread> threads_;  // Last: they use all of the above.
};

// Bytes that a stage needs.
struct StagedBytes {
  std::span<const std::byte> bytes;
  std::uint32_t stage = 0;
};

// One model's extents.  Nothing is read before somebody wants it.
//
// Threading: any thread; the mapping must live until the destructor has returned, which waits for
// a piece that is being read.
class PageStream {
 public:
  // `staged` lies in `parts`, with stages below `n_stages`.
  PageStream(std::shared_ptr<PageReader> reader, std::vector<MappedPart> parts,
             std::span<const StagedBytes> staged, std::uint32_t n_stages);
  ~PageStream();
  PageStream(const PageStream&) = delete;
  PageStream& operator=(const PageStream&) = delete;

  // Whoever computes holds a Pass: meanwhile nothing is given back.
  class Pass {
   public:
    explicit Pass(PageStream* stream);  // May be null: then all is there, always.
    ~Pass();
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;
    // Returns once all up to this stage, or these bytes, are in memory; costs nothing if they are.
    // False if they can't be read: the stream's problem() says why.
    bool wait_for(std::uint32_t stage) {
      return stream_ == nullptr || stream_->is_ready(stage) || stream_->wait_for(stage);
    }
    bool wait_for(std::span<const std::byte> bytes) {
      return stream_ == nullptr || stream_->is_whole() || stream_->wait_for(bytes);
    }

   private:
    PageStream* const stream_;
  };

  // Asks for all that is missing; returns at once.
  void want(Want want);
  // Takes back what nobody but a guess has asked for and nobody has begun to read; returns its bytes.
  std::uint64_t forget_guess();
  // Gives back at least so many bytes if it can, the last stages first, and returns how many.  None
  // while somebody computes or waits.
  std::uint64_t give_back(std::uint64_t bytes, GiveBack where);

  struct Progress {
    std::uint64_t bytes = 0;         // Of all extents.
    std::uint64_t bytes_ready = 0;   // In memory and mapped, as far as this process did it.
    std::uint64_t bytes_wanted = 0;  // Asked for and not there yet.
    bool is_guess = false;           // Nobody but a guess asked for them.
    std::uint64_t bytes_guessed = 0;  // Of those that are ready, by a guess, and nobody needed yet.
  };
  Progress progress() const;
  // Where the extent that would be given back first lies, 0 to 1; 0 if there is none.
  double tail() const;
  // Whether a pass would have to wait for what is already being read.
  bool is_streaming() const;
  bool is_whole() const { return is_ready(n_stages_ - 1); }
  std::optional<Error> problem() const;
  bool has_problem() const { return has_problem_.load(std::memory_order_acquire); }
  const std::vector<MappedPart>& parts() const { return parts_; }
  // Time that passes waited.
  std::chrono::nanoseconds waited() const;

 private:
  friend class PageReader;
  enum class State : std::uint8_t { kAbsent, kReading, kReady, kLeaving };
  struct Extent {
    std::span<const std::byte> bytes;
    std::uint32_t stage = 0;
    std::uint32_t part = 0;
    State state = State::kAbsent;
    Want want = Want::kNothing;  // Of what is not ready.
    bool is_guessed = false;     // Brought in by a guess that nothing came of yet.
  };

  bool is_ready(std::uint32_t stage) const {
    return ready_stages_.load(std::memory_order_acquire) > stage;
  }
  bool wait_for(std::uint32_t stage);
  bool wait_for(std::span<const std::byte> bytes);
  // With the reader's lock held:
  template <class Needed>
  bool wait_until_ready(std::unique_lock<std::mutex>& lock, Needed needed);
  void ask(Extent& extent, Want want);
  void set_state(Extent& extent, State state);
  void finish(Extent& extent, int error);
  void count_stages();
  void queue();
  std::size_t first_wanted(Want want) const;
  bool is_shared(const Extent& extent) const;

  const std::shared_ptr<PageReader> reader_;
  const std::vector<MappedPart> parts_;
  const std::uint32_t n_stages_;
  std::atomic<std::uint32_t> ready_stages_ = 0;  // Stages before the first that lacks something.
  std::atomic<bool> has_problem_ = false;
  // Guarded by the reader's lock:
  std::vector<Extent> extents_;  // In the order in which they are needed.
  std::vector<std::uint32_t> missing_;  // Extents that are not ready, by stage.
  std::array<std::uint32_t, 4> n_wanted_{};  // Absent extents, by Want.
  std::uint64_t bytes_ = 0, bytes_ready_ = 0;
  std::uint32_t n_passes_ = 0, n_busy_ = 0;  // Who computes; extents that are read or given back.
  std::optional<Error> problem_;
  std::chrono::nanoseconds waited_{};
};

}  // namespace hearth
