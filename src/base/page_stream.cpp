#include "base/page_stream.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace hearth {
namespace {

using Clock = std::chrono::steady_clock;

// Two readers with pieces from 4 MiB on reach this class of disk's speed (2.3 GB/s; one reader 1.6 to
// 2.1; four are no faster); smaller ones let who waits go on sooner.
constexpr std::size_t kPieceBytes = std::size_t{4} << 20;

// A guess rests so many times as long as it read while others compute.
constexpr int kRestPerWork = 4;

// Decoding goes on if its last step ended no longer ago.
constexpr Clock::duration kPassGap = std::chrono::milliseconds(20);

std::uintptr_t address(const std::byte* at) { return reinterpret_cast<std::uintptr_t>(at); }

bool overlap(std::span<const std::byte> a, std::span<const std::byte> b) {
  return address(a.data()) < address(b.data() + b.size()) &&
         address(b.data()) < address(a.data() + a.size());
}

// A large page's worth of a part, and the first stage that needs it.
struct Block {
  std::uint32_t stage, part;
  std::size_t begin, end;  // In the part.
};

// The large pages that hold some of `staged`, each once.
std::vector<Block> blocks_of(const std::vector<MappedPart>& parts,
                             std::span<const StagedBytes> staged, std::uint32_t n_stages) {
  std::vector<Block> blocks;
  for (std::uint32_t p = 0; p < parts.size(); ++p) {
    const std::span<const std::byte> whole = parts[p].bytes;
    const std::uintptr_t base = address(whole.data()) / kLargePageBytes * kLargePageBytes;
    const std::size_t n = (address(whole.data()) - base + whole.size() + kLargePageBytes - 1) / kLargePageBytes;
    std::vector<std::uint32_t> stages(n, n_stages);
    for (const StagedBytes& bytes : staged) {
      if (bytes.bytes.empty() || !overlap(bytes.bytes, whole)) continue;
      const std::size_t first = (address(bytes.bytes.data()) - base) / kLargePageBytes;
      const std::size_t last = (address(bytes.bytes.data()) + bytes.bytes.size() - 1 - base) / kLargePageBytes;
      for (std::size_t i = first; i <= last && i < n; ++i) stages[i] = std::min(stages[i], bytes.stage);
    }
    const std::size_t lead = address(whole.data()) - base;
    for (std::size_t i = 0; i < n; ++i) {
      if (stages[i] == n_stages) continue;
      const std::size_t begin = i * kLargePageBytes, end = begin + kLargePageBytes;
      blocks.push_back({stages[i], p, begin > lead ? begin - lead : 0, std::min(end - lead, whole.size())});
    }
  }
  std::ranges::stable_sort(blocks, {}, &Block::stage);
  return blocks;
}

Error read_error(const MappedPart& part, int error) {
  if (error == EBADMSG) {
    return {Code::kCorrupt, fmt::format("the model '{}' can't be restored from its base: run `hearth models "
                                        "verify`, and import what it lists again",
                                        part.path.string())};
  }
  struct stat info {};
  const bool is_known = ::stat(part.path.c_str(), &info) == 0;
  if (!part.fill && is_known && static_cast<std::size_t>(info.st_size) < part.bytes.size()) {
    return {Code::kCorrupt,
            fmt::format("the file '{}' was cut off: it has {} bytes of {}; get it from its source again",
                        part.path.string(), info.st_size, part.bytes.size())};
  }
  return {Code::kCorrupt, fmt::format("the file '{}' can't be read ({}): check its disk, or get it "
                                      "from its source again",
                                      part.path.string(),
                                      std::strerror(error == EFAULT ? EIO : error))};
}

}  // namespace

// ---- The reader ---------------------------------------------------------------------------------

PageReader::PageReader(PageReaderOptions options) : options_(std::move(options)) {
  for (unsigned i = 0; i < std::max(options_.n_threads, 1U); ++i) {
    threads_.emplace_back([this] { read(); });
  }
}

PageReader::~PageReader() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

PageReaderStats PageReader::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

// The most urgent extent, of the stream that asked first.  What a pass will need next goes before
// what nobody computes with: the rest of an embedding that an earlier answer never waited for would
// else come between any two layers of this one.  One guess at a time.
PageReader::Piece PageReader::next_piece() {
  const auto first_of = [this](Want want, bool is_computed_with) -> Piece {
    for (PageStream* const stream : streams_) {
      if (stream->n_wanted_[static_cast<std::size_t>(want)] == 0) continue;
      if (is_computed_with && stream->n_passes_ == 0) continue;
      return {stream, stream->first_wanted(want), want};
    }
    return {};
  };
  for (const Want want : {Want::kNow, Want::kSoon}) {
    for (const bool is_computed_with : {true, false}) {
      const Piece piece = first_of(want, is_computed_with);
      if (piece.stream != nullptr) return piece;
    }
  }
  if (is_guessing_ || Clock::now() < guesses_rest_until_) return {};
  return first_of(Want::kGuess, false);
}

void PageReader::read() {
  std::unique_lock lock(mutex_);
  while (!is_stopping_) {
    const Piece piece = next_piece();
    if (piece.stream == nullptr) {
      const bool rests = guesses_rest_until_ > Clock::now();
      if (rests) {
        work_.wait_until(lock, guesses_rest_until_);
      } else {
        work_.wait(lock);
      }
      continue;
    }
    PageStream::Extent& extent = piece.stream->extents_[piece.extent];
    const bool is_guess = piece.want == Want::kGuess;
    piece.stream->set_state(extent, PageStream::State::kReading);
    extent.is_guessed = is_guess;
    if (is_guess) is_guessing_ = true;
    const std::span<const std::byte> bytes = extent.bytes;
    const MappedPart& part = piece.stream->parts_[extent.part];

    lock.unlock();
    const auto began = Clock::now();
    const int error = part.fill ? part.fill(bytes) : options_.bring_in(bytes);
    const auto took = Clock::now() - began;
    lock.lock();

    (is_guess ? stats_.bytes_guessed : stats_.bytes_asked) += bytes.size();
    piece.stream->finish(extent, error);
    done_.notify_all();
    if (is_guess) end_guess(took);
  }
}

// Leaves the disk and the memory to those who compute; at rest, guesses follow at once.
void PageReader::end_guess(Clock::duration took) {
  is_guessing_ = false;
  const Clock::time_point now = Clock::now();
  const bool is_busy = n_passes_ > 0 || now - passed_at_ < kPassGap;
  if (is_busy) guesses_rest_until_ = now + took * kRestPerWork;
  work_.notify_one();
}

// ---- A stream -----------------------------------------------------------------------------------

PageStream::PageStream(std::shared_ptr<PageReader> reader, std::vector<MappedPart> parts,
                       std::span<const StagedBytes> staged, std::uint32_t n_stages)
    : reader_(std::move(reader)),
      parts_(std::move(parts)),
      n_stages_(std::max(n_stages, 1U)),
      missing_(n_stages_) {
  for (const MappedPart& part : parts_) prefer_large_pages(part.bytes);
  const std::vector<Block> blocks = blocks_of(parts_, staged, n_stages_);
  for (std::size_t i = 0; i < blocks.size();) {
    std::size_t end = i + 1;
    while (end < blocks.size() && blocks[end].stage == blocks[i].stage &&
           blocks[end].part == blocks[i].part && blocks[end].begin == blocks[end - 1].end &&
           blocks[end].end - blocks[i].begin <= kPieceBytes) {
      ++end;
    }
    const std::size_t begin = blocks[i].begin;
    const auto bytes = parts_[blocks[i].part].bytes.subspan(begin, blocks[end - 1].end - begin);
    extents_.push_back({.bytes = bytes, .stage = blocks[i].stage, .part = blocks[i].part});
    ++missing_[blocks[i].stage];
    bytes_ += bytes.size();
    i = end;
  }
  const std::lock_guard lock(reader_->mutex_);
  count_stages();
  reader_->streams_.push_back(this);
}

PageStream::~PageStream() {
  std::unique_lock lock(reader_->mutex_);
  std::erase(reader_->streams_, this);
  reader_->done_.wait(lock, [this] { return n_busy_ == 0; });
}

void PageStream::count_stages() {
  const auto lacking = std::ranges::find_if(missing_, [](std::uint32_t n) { return n > 0; });
  ready_stages_.store(static_cast<std::uint32_t>(lacking - missing_.begin()),
                      std::memory_order_release);
}

// Every change of an extent's state, with all that is counted of it.
void PageStream::set_state(Extent& extent, State state) {
  const auto is_absent = [&] { return extent.state == State::kAbsent; };
  const auto count = [&](int by) {
    std::uint32_t& n = n_wanted_[static_cast<std::size_t>(extent.want)];
    n = static_cast<std::uint32_t>(static_cast<int>(n) + by);
  };
  if (is_absent() && extent.want != Want::kNothing) count(-1);
  if (extent.state == State::kReading || extent.state == State::kLeaving) --n_busy_;
  if (extent.state == State::kReady) {
    ++missing_[extent.stage];
    bytes_ready_ -= extent.bytes.size();
  }
  extent.state = state;
  if (state == State::kReady) {
    extent.want = Want::kNothing;
    --missing_[extent.stage];
    bytes_ready_ += extent.bytes.size();
  }
  if (state == State::kReading || state == State::kLeaving) ++n_busy_;
  if (is_absent() && extent.want != Want::kNothing) count(+1);
  count_stages();
}

void PageStream::ask(Extent& extent, Want want) {
  if (extent.state == State::kReady || extent.want >= want) return;
  const bool is_absent = extent.state == State::kAbsent;
  if (is_absent && extent.want != Want::kNothing) --n_wanted_[static_cast<std::size_t>(extent.want)];
  extent.want = want;
  if (is_absent) ++n_wanted_[static_cast<std::size_t>(want)];
}

std::size_t PageStream::first_wanted(Want want) const {
  const auto is_it = [&](const Extent& e) { return e.state == State::kAbsent && e.want == want; };
  return static_cast<std::size_t>(std::ranges::find_if(extents_, is_it) - extents_.begin());
}

// The reader's last word on a piece.  After an error nothing more is read: the model is of no use.
void PageStream::finish(Extent& extent, int error) {
  if (error == 0) return set_state(extent, State::kReady);
  set_state(extent, State::kAbsent);
  if (!problem_) problem_ = read_error(parts_[extent.part], error);
  has_problem_.store(true, std::memory_order_release);
  for (Extent& other : extents_) {
    if (other.state == State::kAbsent && other.want != Want::kNothing) {
      --n_wanted_[static_cast<std::size_t>(other.want)];
      other.want = Want::kNothing;
    }
  }
}

// Behind those who asked before.
void PageStream::queue() {
  auto& streams = reader_->streams_;
  const bool is_queued = std::ranges::any_of(n_wanted_, [](std::uint32_t n) { return n > 0; });
  if (is_queued) return;
  std::erase(streams, this);
  streams.push_back(this);
}

void PageStream::want(Want want) {
  {
    const std::lock_guard lock(reader_->mutex_);
    if (want != Want::kGuess) {
      for (Extent& extent : extents_) extent.is_guessed = false;
    }
    if (problem_ || is_whole()) return;
    queue();
    for (Extent& extent : extents_) ask(extent, want);
  }
  reader_->work_.notify_all();
}

std::uint64_t PageStream::forget_guess() {
  const std::lock_guard lock(reader_->mutex_);
  std::uint64_t bytes = 0;
  for (Extent& extent : extents_) {
    if (extent.want != Want::kGuess || extent.state != State::kAbsent) continue;
    --n_wanted_[static_cast<std::size_t>(Want::kGuess)];
    extent.want = Want::kNothing;
    bytes += extent.bytes.size();
  }
  return bytes;
}

template <class Needed>
bool PageStream::wait_until_ready(std::unique_lock<std::mutex>& lock, Needed needed) {
  if (problem_) return false;
  queue();
  // What it waits for first, and then the rest, which will be needed too.
  for (Extent& extent : extents_) ask(extent, needed(extent) ? Want::kNow : Want::kSoon);
  reader_->work_.notify_all();
  const auto began = Clock::now();
  reader_->done_.wait(lock, [&] {
    return problem_ || std::ranges::none_of(extents_, [&](const Extent& extent) {
             return extent.state != State::kReady && needed(extent);
           });
  });
  waited_ += Clock::now() - began;
  return !problem_;
}

bool PageStream::wait_for(std::uint32_t stage) {
  std::unique_lock lock(reader_->mutex_);
  return wait_until_ready(lock, [&](const Extent& extent) { return extent.stage <= stage; });
}

bool PageStream::wait_for(std::span<const std::byte> bytes) {
  std::unique_lock lock(reader_->mutex_);
  return wait_until_ready(lock, [&](const Extent& extent) { return overlap(extent.bytes, bytes); });
}

// Whether another model of the same pack has these pages and counts on them.
bool PageStream::is_shared(const Extent& extent) const {
  const auto has_it = [&](const Extent& theirs) {
    return theirs.state == State::kReady && overlap(theirs.bytes, extent.bytes);
  };
  return std::ranges::any_of(reader_->streams_, [&](const PageStream* other) {
    const bool may_have_it = other != this && std::ranges::any_of(other->parts_, [&](const auto& part) {
      return overlap(part.bytes, extent.bytes);
    });
    return may_have_it && std::ranges::any_of(other->extents_, has_it);
  });
}

std::uint64_t PageStream::give_back(std::uint64_t bytes, GiveBack where) {
  std::unique_lock lock(reader_->mutex_);
  std::uint64_t given = 0;
  while (given < bytes && n_passes_ == 0) {
    const auto last = std::find_if(extents_.rbegin(), extents_.rend(),
                                   [](const Extent& e) { return e.state == State::kReady; });
    if (last == extents_.rend()) break;
    set_state(*last, State::kLeaving);
    given += last->bytes.size();
    if (std::exchange(last->is_guessed, false)) reader_->stats_.bytes_wasted += last->bytes.size();
    const bool goes = !is_shared(*last);
    lock.unlock();
    if (goes) hearth::give_back(parts_[last->part], last->bytes, where);
    lock.lock();
    set_state(*last, State::kAbsent);
    reader_->done_.notify_all();
    if (last->want != Want::kNothing) reader_->work_.notify_all();
  }
  return given;
}

PageStream::Progress PageStream::progress() const {
  const std::lock_guard lock(reader_->mutex_);
  Progress progress{.bytes = bytes_, .bytes_ready = bytes_ready_};
  bool is_asked = false;
  for (const Extent& extent : extents_) {
    if (extent.state == State::kReady && extent.is_guessed) progress.bytes_guessed += extent.bytes.size();
    if (extent.want == Want::kNothing) continue;
    progress.bytes_wanted += extent.bytes.size();
    is_asked |= extent.want > Want::kGuess;
  }
  progress.is_guess = progress.bytes_wanted > 0 && !is_asked;
  return progress;
}

double PageStream::tail() const {
  const std::lock_guard lock(reader_->mutex_);
  return bytes_ == 0 ? 0 : static_cast<double>(bytes_ready_) / static_cast<double>(bytes_);
}

bool PageStream::is_streaming() const {
  if (is_whole() || has_problem()) return false;
  const std::lock_guard lock(reader_->mutex_);
  return std::ranges::any_of(extents_, [](const Extent& e) { return e.want > Want::kGuess; });
}

std::optional<Error> PageStream::problem() const {
  const std::lock_guard lock(reader_->mutex_);
  return problem_;
}

std::chrono::nanoseconds PageStream::waited() const {
  const std::lock_guard lock(reader_->mutex_);
  return waited_;
}

PageStream::Pass::Pass(PageStream* stream) : stream_(stream) {
  if (stream_ == nullptr) return;
  const std::lock_guard lock(stream_->reader_->mutex_);
  ++stream_->n_passes_;
  ++stream_->reader_->n_passes_;
}

PageStream::Pass::~Pass() {
  if (stream_ == nullptr) return;
  const Clock::time_point now = Clock::now();
  const std::lock_guard lock(stream_->reader_->mutex_);
  --stream_->n_passes_;
  --stream_->reader_->n_passes_;
  stream_->reader_->passed_at_ = now;
}

}  // namespace hearth
