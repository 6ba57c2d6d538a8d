// What is read in which order, who waits for what, and what an error or a taken page does.
#include "base/page_stream.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>

#include "base/file.h"

namespace hearth {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kMiB = std::size_t{1} << 20;

// Brings nothing in before it is let: records what it is asked for.
class Gate {
 public:
  int operator()(std::span<const std::byte> bytes) {
    std::unique_lock lock(mutex_);
    asked_.push_back(bytes.data());
    changed_.notify_all();
    changed_.wait(lock, [this] { return n_let_ > 0; });
    --n_let_;
    const int error = asked_.size() > fail_after_ ? EFAULT : 0;
    lock.unlock();
    return error != 0 ? error : bring_in(bytes);
  }
  void let(std::size_t n) {
    const std::lock_guard lock(mutex_);
    n_let_ += n;
    changed_.notify_all();
  }
  void fail_after(std::size_t n) {
    const std::lock_guard lock(mutex_);
    fail_after_ = n;
  }
  std::vector<const std::byte*> wait_for_asked(std::size_t n) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return asked_.size() >= n; });
    return asked_;
  }
  std::size_t n_asked() {
    const std::lock_guard lock(mutex_);
    return asked_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<const std::byte*> asked_;
  std::size_t n_let_ = 0, fail_after_ = SIZE_MAX;
};

class PageStreamTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "hearth_pages_XXXXXX").string();
    const int fd = ::mkstemp(name.data());
    ASSERT_GE(fd, 0);
    path_ = name;
    const std::string bytes(kBytes, 'x');
    ASSERT_EQ(::write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(kBytes));
    ASSERT_EQ(::fdatasync(fd), 0);
    ::close(fd);
    file_ = *MappedFile::open(path_);
  }
  void TearDown() override { std::filesystem::remove(path_); }

  std::shared_ptr<PageReader> reader(unsigned n_threads = 1) {
    return std::make_shared<PageReader>(
        PageReaderOptions{.n_threads = n_threads, .bring_in = std::ref(gate_)});
  }
  std::unique_ptr<PageStream> stream(std::shared_ptr<PageReader> reader) {
    const auto all = file_.bytes();
    // The file has the last stage first, as files with an embedding have.
    const StagedBytes staged[] = {{all.subspan(0, 8 * kMiB), 2},
                                  {all.subspan(8 * kMiB, 8 * kMiB), 0},
                                  {all.subspan(16 * kMiB), 1}};
    return std::make_unique<PageStream>(std::move(reader),
                                        std::vector<MappedPart>{{all, path_}}, staged, 3);
  }
  std::uint64_t cached() const { return resident_bytes(file_.bytes()); }

  static constexpr std::size_t kBytes = 24 * kMiB;
  std::filesystem::path path_;
  MappedFile file_;
  Gate gate_;
};

TEST_F(PageStreamTest, NothingIsReadBeforeSomebodyWantsIt) {
  const auto s = stream(reader());
  EXPECT_FALSE(s->is_whole());
  EXPECT_EQ(s->progress().bytes, kBytes);
  EXPECT_EQ(s->progress().bytes_ready, 0U);
  EXPECT_EQ(gate_.n_asked(), 0U);
}

TEST_F(PageStreamTest, StagesAreReadInTheirOrderAndWaitedForOneByOne) {
  const auto s = stream(reader());
  s->want(Want::kSoon);
  PageStream::Pass pass(s.get());
  auto first = std::async(std::launch::async, [&] { return pass.wait_for(0U); });
  EXPECT_EQ(first.wait_for(milliseconds(5)), std::future_status::timeout);
  gate_.let(3);  // Two pieces of 4 MiB, or three where the mapping cuts them so.
  EXPECT_TRUE(first.get());
  EXPECT_FALSE(s->is_whole());
  EXPECT_TRUE(s->is_streaming());
  gate_.let(100);
  EXPECT_TRUE(pass.wait_for(2U));
  EXPECT_TRUE(s->is_whole());
  EXPECT_FALSE(s->is_streaming());
  EXPECT_EQ(s->progress().bytes_ready, kBytes);
  EXPECT_EQ(resident_bytes(file_.bytes()), kBytes);
  const auto asked = gate_.wait_for_asked(1);
  EXPECT_GE(asked.front() - file_.bytes().data(), static_cast<std::ptrdiff_t>(6 * kMiB));
  EXPECT_LT(asked.back() - file_.bytes().data(), static_cast<std::ptrdiff_t>(8 * kMiB));
}

TEST_F(PageStreamTest, WhoWaitsForRowsGetsThemFirst) {
  const auto s = stream(reader());
  PageStream::Pass pass(s.get());
  auto rows = std::async(std::launch::async, [&] { return pass.wait_for(file_.bytes().first(64)); });
  const auto asked = gate_.wait_for_asked(1);
  EXPECT_EQ(asked.front(), file_.bytes().data());
  gate_.let(1);
  EXPECT_TRUE(rows.get());
  gate_.let(100);
  EXPECT_TRUE(pass.wait_for(2U));  // The rest follows by itself.
}

TEST_F(PageStreamTest, TwoWhoWaitShareOneStream) {
  const auto s = stream(reader(2));
  const auto wait = [&] {
    PageStream::Pass pass(s.get());
    return pass.wait_for(2U);
  };
  auto a = std::async(std::launch::async, wait), b = std::async(std::launch::async, wait);
  gate_.let(100);
  EXPECT_TRUE(a.get() && b.get());
  auto asked = gate_.wait_for_asked(1);
  const std::size_t n = asked.size();
  std::ranges::sort(asked);
  EXPECT_EQ(std::ranges::unique(asked).begin(), asked.end());
  EXPECT_GE(n, kBytes / (4 * kMiB));
}

TEST_F(PageStreamTest, AnErrorReachesAllWhoWaitAndEndsTheReading) {
  const auto s = stream(reader());
  gate_.fail_after(2);
  gate_.let(100);
  PageStream::Pass pass(s.get());
  EXPECT_FALSE(pass.wait_for(2U));
  ASSERT_TRUE(s->problem());
  EXPECT_EQ(s->problem()->code, Code::kCorrupt);
  EXPECT_NE(s->problem()->message.find("can't be read"), std::string::npos);
  const std::size_t n = gate_.n_asked();
  EXPECT_FALSE(pass.wait_for(2U));
  s->want(Want::kSoon);
  EXPECT_FALSE(s->is_streaming());
  EXPECT_EQ(gate_.n_asked(), n);
}

TEST_F(PageStreamTest, AFileThatIsCutOffWhileItStreamsIsAnErrorAndNoSignal) {
  const auto s = stream(std::make_shared<PageReader>());
  std::filesystem::resize_file(path_, 20 * kMiB);
  PageStream::Pass pass(s.get());
  EXPECT_FALSE(pass.wait_for(2U));
  EXPECT_NE(s->problem()->message.find("was cut off"), std::string::npos);
  EXPECT_FALSE(file_.is_damaged());
}

TEST_F(PageStreamTest, WhatIsGivenBackIsGoneFromTheEndOnAndComesAgain) {
  const auto s = stream(reader());
  gate_.let(100);
  {
    PageStream::Pass pass(s.get());
    ASSERT_TRUE(pass.wait_for(2U));
    EXPECT_EQ(s->give_back(1, GiveBack::kToDisk), 0U);  // Somebody computes.
  }
  const std::uint64_t given = s->give_back(8 * kMiB, GiveBack::kToDisk);
  EXPECT_GE(given, 8 * kMiB);
  EXPECT_EQ(s->progress().bytes_ready, kBytes - given);
  EXPECT_LE(cached(), kBytes - given + kLargePageBytes);
  EXPECT_LT(resident_bytes(file_.bytes().first(6 * kMiB)), kMiB);  // The last stage.
  EXPECT_EQ(resident_bytes(file_.bytes().subspan(10 * kMiB, 6 * kMiB)), 6 * kMiB);
  PageStream::Pass pass(s.get());
  EXPECT_TRUE(pass.wait_for(0U));
  EXPECT_TRUE(pass.wait_for(2U));
  EXPECT_EQ(cached(), kBytes);
}

TEST_F(PageStreamTest, WhatGoesToTheCacheLeavesThisProcessOnly) {
  const auto s = stream(reader());
  gate_.let(100);
  { ASSERT_TRUE(PageStream::Pass(s.get()).wait_for(2U)); }
  const std::span<const std::byte> range = file_.bytes();
  EXPECT_EQ(mapped_bytes(std::span(&range, 1))[0].mapped, kBytes);
  EXPECT_EQ(s->give_back(UINT64_MAX, GiveBack::kToCache), kBytes);
  EXPECT_EQ(mapped_bytes(std::span(&range, 1))[0].mapped, 0U);
  EXPECT_EQ(cached(), kBytes);
}

// What nobody waited for to its end is no longer between the layers of who computes now.
TEST_F(PageStreamTest, WhoComputesGoesBeforeWhoAskedFirst) {
  const auto r = reader();
  const auto left = stream(r), now = stream(r);
  left->want(Want::kSoon);
  gate_.wait_for_asked(1);  // A piece of the first is on its way.
  PageStream::Pass pass(now.get());
  now->want(Want::kSoon);
  const std::size_t n = now->progress().bytes / (4 * kMiB);
  gate_.let(1 + n);
  while (now->progress().bytes_ready < kBytes / 2) std::this_thread::yield();
  EXPECT_LT(left->progress().bytes_ready, kBytes / 2);
  gate_.let(100);
  EXPECT_TRUE(pass.wait_for(2U));
}

// A part may also be memory that somebody fills: it comes in the same order, goes, and comes again.
TEST_F(PageStreamTest, MemoryIsFilledAsAFileIsRead) {
  constexpr std::size_t kMade = 8 * kMiB;
  void* const at = ::mmap(nullptr, kMade, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(at, MAP_FAILED);
  auto* const made = static_cast<std::byte*>(at);
  const std::span<const std::byte> bytes(made, kMade);
  std::atomic<int> error = 0;
  const auto fill = [&](std::span<const std::byte> range) {
    std::memset(made + (range.data() - made), 'm', range.size());
    return error.load();
  };
  gate_.let(100);
  const auto all = file_.bytes();
  const StagedBytes staged[] = {{all, 0}, {bytes, 1}};
  PageStream s(reader(), {{all, path_}, {bytes, path_, fill}}, staged, 2);
  const auto is_made = [&] { return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{'m'}; }); };
  { ASSERT_TRUE(PageStream::Pass(&s).wait_for(1U)); }
  EXPECT_TRUE(is_made());
  EXPECT_EQ(s.give_back(kMade, GiveBack::kToDisk), kMade);
  EXPECT_EQ(made[kMade / 2], std::byte{0});  // The kernel has it.
  EXPECT_EQ(cached(), kBytes);
  { ASSERT_TRUE(PageStream::Pass(&s).wait_for(1U)); }
  EXPECT_TRUE(is_made());
  (void)s.give_back(kMade, GiveBack::kToDisk);
  error = EBADMSG;
  EXPECT_FALSE(PageStream::Pass(&s).wait_for(1U));
  EXPECT_NE(s.problem()->message.find("can't be restored from its base"), std::string::npos);
  ::munmap(at, kMade);
}

TEST_F(PageStreamTest, GuessesYieldAndRestAndAreCounted) {
  const auto r = reader();
  const auto s = stream(r), other = stream(r);
  PageStream::Pass computing(other.get());
  s->want(Want::kGuess);
  gate_.wait_for_asked(1);
  std::this_thread::sleep_for(milliseconds(20));
  const auto began = std::chrono::steady_clock::now();
  gate_.let(1);
  gate_.wait_for_asked(2);  // It took 20 ms and rests four times as long.
  EXPECT_GE(std::chrono::steady_clock::now() - began, milliseconds(60));
  EXPECT_TRUE(s->progress().is_guess);
  EXPECT_FALSE(s->is_streaming());  // Nobody who computes would wait for it.
  EXPECT_GT(s->forget_guess(), 0U);
  gate_.let(1);
  while (s->progress().bytes_ready < 6 * kMiB) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_EQ(s->progress().bytes_guessed, s->progress().bytes_ready);
  s->give_back(1, GiveBack::kToCache);
  EXPECT_GT(r->stats().bytes_wasted, 0U);
  gate_.let(100);
  EXPECT_TRUE(PageStream::Pass(s.get()).wait_for(2U));
  EXPECT_EQ(s->progress().bytes_ready, kBytes);
}

TEST_F(PageStreamTest, ItsEndWaitsForThePieceBeingReadAndForgetsTheRest) {
  const auto r = reader(2);
  auto s = stream(r);
  s->want(Want::kSoon);
  gate_.wait_for_asked(2);
  auto ended = std::async(std::launch::async, [&] { s.reset(); });
  EXPECT_EQ(ended.wait_for(milliseconds(10)), std::future_status::timeout);
  gate_.let(100);
  ended.get();
  EXPECT_EQ(gate_.n_asked(), 2U);
}

// For ThreadSanitizer, too: who computes reads the file's bytes while others take them away.
TEST_F(PageStreamTest, TakingAndGivingRaceWithoutHarm) {
  const auto r = std::make_shared<PageReader>();
  const auto a = stream(r), b = stream(r);
  std::atomic<bool> is_over = false;
  std::vector<std::thread> others;
  for (PageStream* const s : {a.get(), b.get()}) {
    others.emplace_back([s, &is_over] {
      while (!is_over) {
        (void)s->give_back(6 * kMiB, GiveBack::kToDisk);
        s->want(Want::kGuess);
        (void)s->forget_guess();
        (void)s->progress();
        (void)s->tail();
        std::this_thread::yield();
      }
    });
  }
  std::vector<std::thread> computing;
  std::atomic<int> n_wrong = 0;
  for (int thread = 0; thread < 3; ++thread) {
    computing.emplace_back([&, thread] {
      for (int i = 0; i < 40; ++i) {
        PageStream::Pass pass(thread == 0 ? a.get() : b.get());
        for (std::uint32_t stage = 0; stage < 3; ++stage) {
          if (!pass.wait_for(stage)) ++n_wrong;
          const std::size_t at = stage == 0 ? 9 * kMiB : stage == 1 ? 20 * kMiB : kMiB;
          if (file_.bytes()[at] != std::byte{'x'}) ++n_wrong;
        }
      }
    });
  }
  for (std::thread& thread : computing) thread.join();
  is_over = true;
  for (std::thread& thread : others) thread.join();
  EXPECT_EQ(n_wrong, 0);
  EXPECT_FALSE(a->has_problem() || b->has_problem());
}

TEST_F(PageStreamTest, PagesThatAnotherStreamHasStay) {
  const auto r = reader();
  const auto a = stream(r), b = stream(r);
  gate_.let(100);
  ASSERT_TRUE(PageStream::Pass(a.get()).wait_for(2U));
  ASSERT_TRUE(PageStream::Pass(b.get()).wait_for(2U));
  EXPECT_EQ(a->give_back(UINT64_MAX, GiveBack::kToDisk), kBytes);
  EXPECT_EQ(cached(), kBytes);
  EXPECT_EQ(b->give_back(UINT64_MAX, GiveBack::kToDisk), kBytes);
  EXPECT_LT(cached(), kLargePageBytes);
}

}  // namespace
}  // namespace hearth
