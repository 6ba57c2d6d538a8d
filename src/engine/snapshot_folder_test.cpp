// A folder of snapshots: found, read, bounded, and harmless whatever happens to it.
#include "engine/snapshot_folder.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "engine/snapshot_for_test.h"
#include "model/kv_page.h"

namespace hearth::engine {
namespace {

namespace fs = std::filesystem;

// What a folder gives back of a text, each byte held against what it should be.  The tokens that it
// knows; nothing must be wrong, however little there is.
std::uint32_t restored(SnapshotFolder& folder, const SnapshotText& text,
                       std::uint32_t first_page = 0, bool* has_logits = nullptr) {
  EXPECT_TRUE(folder.refresh());
  const SnapshotHit hit = folder.find(text, first_page);
  std::vector<std::vector<std::byte>> pages(hit.pages.size(),
                                            std::vector<std::byte>(text.page_bytes));
  std::vector<std::byte*> to;
  for (auto& page : pages) to.push_back(page.data());
  std::vector<float> logits;
  const std::uint32_t n_read = folder.read(hit, to, logits);
  std::uint32_t n_tokens = std::min<std::uint32_t>(first_page * 32, static_cast<std::uint32_t>(text.tokens.size()));
  for (std::uint32_t i = 0; i < n_read; ++i) {
    const auto own = hit.pages[i].text();
    const auto want = std::span(text.tokens).subspan((first_page + i) * std::size_t{32});
    std::uint32_t n_common = 0;
    while (n_common < own.size() && n_common < want.size() && own[n_common] == want[n_common]) {
      ++n_common;
    }
    n_tokens += n_common;
    SnapshotText so_far = text;
    so_far.tokens.resize((first_page + i) * std::size_t{32} + n_common);
    auto expected = FakePages::page(so_far, first_page + i);
    model::clear_slots(FakePages::layout(), n_common, expected.data());
    model::clear_slots(FakePages::layout(), n_common, pages[i].data());
    EXPECT_EQ(pages[i], expected) << "page " << i;
  }
  if (n_read == hit.pages.size()) {
    EXPECT_EQ(n_tokens, hit.n_tokens);
  }
  if (!logits.empty()) {
    EXPECT_EQ(logits, FakePages::logits(text, static_cast<std::uint32_t>(text.tokens.size())));
  }
  if (has_logits != nullptr) *has_logits = !logits.empty();
  return n_tokens;
}

std::vector<TokenId> joined(std::vector<TokenId> a, const std::vector<TokenId>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST(SnapshotFolder, ATextComesBackInAnotherRun) {
  const SnapshotTempFolder temp;
  for (const std::uint32_t n : {32U, 33U, 63U, 64U, 300U}) {
    const auto tokens = random_text(n + 20, n);
    SnapshotFolder first(temp.options());
    const FakePages pages(FakePages::text(tokens), n);
    ASSERT_TRUE(first.save(pages.draft, go_on));
    SnapshotFolder second(temp.options());
    EXPECT_EQ(restored(second, FakePages::text(tokens)), n + 20);
    // The prompt alone, with what follows it.
    bool has_logits = false;
    const auto prompt = FakePages::text({tokens.begin(), tokens.begin() + n});
    EXPECT_EQ(restored(second, prompt, 0, &has_logits), n);
    EXPECT_TRUE(has_logits) << n;
    // Other models, and texts that begin otherwise, find nothing; one that leaves it finds a part.
    EXPECT_EQ(restored(second, FakePages::text(tokens, 2)), 0U);
    auto other = tokens;
    other[0] ^= 1;
    EXPECT_EQ(restored(second, FakePages::text(other)), 0U);
    other = tokens;
    other[n - 1] ^= 1;
    EXPECT_EQ(restored(second, FakePages::text(other), 0, &has_logits), n - 1);
    EXPECT_FALSE(has_logits);
  }
}

TEST(SnapshotFolder, AGrowingConversationWritesItsNewPagesOnly) {
  const SnapshotTempFolder temp;
  SnapshotFolder folder(temp.options());
  std::vector<TokenId> tokens;
  for (unsigned turn = 0; turn < 10; ++turn) {
    const auto n_prompt = static_cast<std::uint32_t>(tokens.size() + 100);
    tokens = joined(std::move(tokens), random_text(150, turn));
    const FakePages pages(FakePages::text(tokens), n_prompt);
    ASSERT_TRUE(folder.save(pages.draft, go_on));
    ASSERT_TRUE(folder.save(pages.draft, go_on));  // Once more writes nothing.
    EXPECT_EQ(restored(folder, FakePages::text(tokens)), tokens.size());
  }
  const SnapshotFolderStats stats = folder.stats();
  EXPECT_EQ(stats.files, 20U);
  // Each turn may write the page at the end of what was there, and the one at the prompt's end, again.
  const std::uint64_t page_bytes = FakePages::layout().page_bytes();
  EXPECT_LE(stats.bytes, (1500 / 32 + 1 + 20) * page_bytes + 20 * (kSnapshotAlign + 160));
  EXPECT_EQ(stats.bytes_written, stats.bytes);
  SnapshotFolder second(temp.options());
  EXPECT_EQ(restored(second, FakePages::text(tokens)), 1500U);
  EXPECT_EQ(restored(second, FakePages::text(tokens), 13), 1500U);
  // A branch of it shares the pages before.
  tokens.resize(700);
  tokens = joined(std::move(tokens), random_text(90, 99));
  const FakePages branch(FakePages::text(tokens), 750);
  ASSERT_TRUE(second.save(branch.draft, go_on));
  EXPECT_LE(second.stats().bytes_written, 7 * page_bytes + 2 * (kSnapshotAlign + 160));
  EXPECT_EQ(restored(second, FakePages::text(tokens)), 790U);
}

TEST(SnapshotFolder, FilesAreTheirOwnersAlone) {
  const SnapshotTempFolder temp;
  fs::create_directories(temp.path());
  fs::permissions(temp.path(), fs::perms::all);
  SnapshotFolder folder(temp.options());
  const FakePages pages(FakePages::text(random_text(50, 1)), 40);
  ASSERT_TRUE(folder.save(pages.draft, go_on));
  struct stat info{};
  ASSERT_EQ(::stat(temp.path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700U);
  ASSERT_EQ(temp.files().size(), 2U);
  for (const auto& file : temp.files()) {
    ASSERT_EQ(::stat(file.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U);
  }
}

// What lay in a page behind its last token was somebody else's.
TEST(SnapshotFolder, NothingBehindTheLastTokenIsWritten) {
  const SnapshotTempFolder temp;
  SnapshotFolder folder(temp.options());
  const FakePages pages(FakePages::text(random_text(40, 1)), 40);
  ASSERT_EQ(temp.files().size(), 0U);
  ASSERT_TRUE(folder.save(pages.draft, go_on));
  ASSERT_TRUE(folder.refresh());
  const SnapshotHit hit = folder.find(pages.draft.text, 0);
  ASSERT_EQ(hit.pages.size(), 2U);
  std::vector<std::byte> a(pages.draft.text.page_bytes), b(a);
  std::vector<std::byte*> to{a.data(), b.data()};
  std::vector<float> logits;
  ASSERT_EQ(folder.read(hit, to, logits), 2U);
  auto cleared = pages.bytes[1];
  model::clear_slots(FakePages::layout(), 8, cleared.data());
  EXPECT_EQ(b, cleared);
  EXPECT_NE(b, pages.bytes[1]);
}

TEST(SnapshotFolder, DamageIsFoundDroppedAndComputedAgain) {
  const SnapshotTempFolder temp;
  std::mt19937 random(5);
  for (int round = 0; round < 60; ++round) {
    const auto tokens = random_text(200, static_cast<unsigned>(round));
    {
      SnapshotFolder folder(temp.options());
      const FakePages pages(FakePages::text(tokens), 150);
      ASSERT_TRUE(folder.save(pages.draft, go_on));
      if (round % 2 == 0) {  // Damaged under a hub that has read the heads.
        EXPECT_EQ(restored(folder, FakePages::text(tokens)), 200U);
      }
      const auto files = temp.files();
      const auto& file = files[random() % files.size()];
      const auto size = fs::file_size(file);
      if (round % 3 == 2) {
        fs::resize_file(file, random() % size);
      } else {
        std::fstream bytes(file, std::ios::in | std::ios::out | std::ios::binary);
        const auto at = static_cast<std::streamoff>(random() % size);
        bytes.seekg(at);
        const char was = static_cast<char>(bytes.get());
        bytes.seekp(at);
        bytes.put(static_cast<char>(was ^ 4));
      }
      EXPECT_LE(restored(folder, FakePages::text(tokens)), 200U);
    }
    SnapshotFolder later(temp.options());
    EXPECT_LE(restored(later, FakePages::text(tokens)), 200U);
    const FakePages pages(FakePages::text(tokens), 150);
    ASSERT_TRUE(later.save(pages.draft, go_on));
    ASSERT_TRUE(later.drop_all());
    EXPECT_EQ(temp.files().size(), 0U);
  }
}

TEST(SnapshotFolder, StaysWithinItsLimitAndKeepsWhatIsUsed) {
  const SnapshotTempFolder temp;
  constexpr std::uint64_t kBytesMax = 400 << 10;
  const auto favourite = random_text(320, 1000);
  for (int run = 0; run < 3; ++run) {
    SnapshotFolder folder(temp.options(kBytesMax));
    const FakePages kept(FakePages::text(favourite), 300);
    ASSERT_TRUE(folder.save(kept.draft, go_on));
    for (unsigned i = 0; i < 40; ++i) {
      const FakePages pages(FakePages::text(random_text(320, run * 100 + i)), 300);
      ASSERT_TRUE(folder.save(pages.draft, go_on));
      // Others are old, this one is not.
      const timespec old[] = {{1'000'000'000, 0}, {1'000'000'000, 0}};
      for (const auto& file : temp.files()) ::utimensat(AT_FDCWD, file.c_str(), old, 0);
      EXPECT_EQ(restored(folder, FakePages::text(favourite)), 320U);
      std::uint64_t bytes = 0;
      for (const auto& file : temp.files()) bytes += fs::file_size(file);
      EXPECT_LE(bytes, kBytesMax);
      EXPECT_EQ(folder.stats().bytes, bytes);
    }
    EXPECT_GT(folder.stats().evicted, 0U);
  }
  // A smaller limit than what is there holds from the next file on.
  SnapshotFolder smaller(temp.options(100 << 10));
  const FakePages pages(FakePages::text(random_text(64, 7)), 60);
  ASSERT_TRUE(smaller.save(pages.draft, go_on));
  EXPECT_LE(smaller.stats().bytes, std::uint64_t{100} << 10);
  EXPECT_EQ(restored(smaller, FakePages::text(random_text(64, 7))), 64U);
}

// A reader looks through the folder while the writer renames and deletes there: a file that came
// during its look must not be forgotten, or it would never count against the limit again.
TEST(SnapshotFolder, LooksDuringWritesForgetNothing) {
  const SnapshotTempFolder temp;
  const std::uint64_t most = 40 * FakePages::layout().page_bytes();
  SnapshotFolder folder(temp.options(most));
  {
    std::jthread reader([&](const std::stop_token& stop) {
      while (!stop.stop_requested()) EXPECT_TRUE(folder.refresh());
    });
    for (unsigned seed = 0; seed < 1000; ++seed) {
      const FakePages pages(FakePages::text(random_text(64, seed)));
      ASSERT_TRUE(folder.save(pages.draft, go_on));
    }
  }
  std::uint64_t bytes = 0;
  for (const auto& file : temp.files()) bytes += fs::file_size(file);
  EXPECT_EQ(folder.stats().files, temp.files().size());
  EXPECT_EQ(folder.stats().bytes, bytes);
  EXPECT_LE(bytes, most);
}

TEST(SnapshotFolder, AFullDiskStopsWritingForAWhile) {
  const SnapshotTempFolder temp;
  SnapshotFolderOptions options = temp.options();
  options.disk_free_bytes_min = std::uint64_t{1} << 60;
  SnapshotFolder folder(options);
  const FakePages pages(FakePages::text(random_text(64, 7)), 60);
  const auto saved = folder.save(pages.draft, go_on);
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().code, Code::kOutOfBudget);
  EXPECT_TRUE(folder.save(pages.draft, go_on));  // Rests.
  EXPECT_EQ(folder.stats().not_written, 2U);
  EXPECT_EQ(temp.files().size(), 0U);
}

// A write that the system cuts short leaves nothing behind.
TEST(SnapshotFolder, AFailedWriteLeavesNoFile) {
  const SnapshotTempFolder temp;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{20'000, 20'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    SnapshotFolder folder(temp.options());
    const FakePages pages(FakePages::text(random_text(640, 7)), 600);
    ::_exit(folder.save(pages.draft, go_on) ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  std::size_t n_left = 0;
  for (const auto& entry : fs::directory_iterator(temp.path())) n_left += entry.path().filename() != "lock";
  EXPECT_EQ(n_left, 0U);
}

TEST(SnapshotFolder, AFolderThatVanishesDoesNoHarm) {
  const SnapshotTempFolder temp;
  SnapshotFolder folder(temp.options());
  const auto tokens = random_text(200, 3);
  const FakePages pages(FakePages::text(tokens), 150);
  ASSERT_TRUE(folder.save(pages.draft, go_on));
  const SnapshotHit hit = folder.find(FakePages::text(tokens), 0);
  temp.vanish();
  std::vector<std::byte> page(pages.draft.text.page_bytes);
  std::vector<std::byte*> to(hit.pages.size(), page.data());
  std::vector<float> logits;
  EXPECT_EQ(folder.read(hit, to, logits), 0U);
  EXPECT_EQ(restored(folder, FakePages::text(tokens)), 0U);
  EXPECT_EQ(folder.stats().damaged, 0U);
  ASSERT_TRUE(folder.save(pages.draft, go_on));
  EXPECT_EQ(restored(folder, FakePages::text(tokens)), 200U);
}

TEST(SnapshotFolder, TwoHubsShareIt) {
  const SnapshotTempFolder temp;
  SnapshotFolder a(temp.options()), b(temp.options());
  const auto work = [&](SnapshotFolder& folder, unsigned seed) {
    for (unsigned i = 0; i < 60; ++i) {
      const FakePages pages(FakePages::text(random_text(100 + i, i % 7 == 0 ? i : seed + i)), 90);
      ASSERT_TRUE(folder.save(pages.draft, go_on));
      restored(folder, FakePages::text(random_text(100 + i, i)));
    }
  };
  std::thread other([&] { work(b, 5000); });
  work(a, 1000);
  other.join();
  for (unsigned i = 50; i < 60; ++i) {
    if (i == 56) continue;  // Both wrote another one.
    EXPECT_EQ(restored(a, FakePages::text(random_text(100 + i, 5000 + i))), 100U + i);
    EXPECT_EQ(restored(b, FakePages::text(random_text(100 + i, 1000 + i))), 100U + i);
  }
}

// Killed in the midst of writing, fifty times: whatever is there is whole.
TEST(SnapshotFolder, KilledWritersLeaveNothingBad) {
  const SnapshotTempFolder temp;
  std::mt19937 random(11);
  unsigned n_killed = 0;
  for (unsigned round = 0; round < 50; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      SnapshotFolder folder(temp.options(8 << 20));
      for (unsigned i = 0;; ++i) {
        const FakePages pages(FakePages::text(random_text(700, round * 1000 + i % 20)), 600);
        (void)folder.save(pages.draft, go_on);
      }
    }
    ::usleep(static_cast<useconds_t>(1000 + random() % 20'000));
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    n_killed += WIFSIGNALED(status) ? 1 : 0;
    SnapshotFolder folder(temp.options(8 << 20));
    for (unsigned i = 0; i < 5; ++i) restored(folder, FakePages::text(random_text(700, round * 1000 + i)));
    EXPECT_EQ(folder.stats().damaged, 0U);
  }
  EXPECT_EQ(n_killed, 50U);
  // The next writer drops what they left, and all that is there reads well.
  SnapshotFolder folder(temp.options(8 << 20));
  const FakePages pages(FakePages::text(random_text(700, 77)), 600);
  ASSERT_TRUE(folder.save(pages.draft, go_on));
  for (const auto& entry : fs::directory_iterator(temp.path())) {
    EXPECT_FALSE(entry.path().filename().string().starts_with(".write")) << entry.path();
  }
}

TEST(SnapshotFolder, GivesUpWhenItsPagesAreWanted) {
  const SnapshotTempFolder temp;
  SnapshotFolder folder(temp.options());
  const FakePages pages(FakePages::text(random_text(640, 7)), 600);
  int n_asked = 0;
  const auto saved = folder.save(pages.draft, [&] { return ++n_asked < 5; });
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().code, Code::kCancelled);
  EXPECT_EQ(temp.files().size(), 0U);
  ASSERT_TRUE(folder.save(pages.draft, go_on));
  EXPECT_EQ(restored(folder, FakePages::text(random_text(640, 7))), 640U);
}

TEST(SnapshotFolder, ListsAndDrops) {
  const SnapshotTempFolder temp;
  SnapshotFolder folder(temp.options());
  EXPECT_TRUE(folder.list().empty());
  EXPECT_EQ(*folder.drop_all(), 0U);
  const FakePages pages(FakePages::text(random_text(640, 7)), 600);
  ASSERT_TRUE(folder.save(pages.draft, go_on));
  SnapshotFolder other(temp.options());
  const auto list = other.list();
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0].label, "fake");
  EXPECT_EQ(std::max(list[0].n_prefix_tokens, list[1].n_prefix_tokens), 640U);
  EXPECT_TRUE(list[0].is_of_this_build);
  EXPECT_EQ(*other.drop_all(), 2U);
  EXPECT_EQ(restored(folder, FakePages::text(random_text(640, 7))), 0U);
}

}  // namespace
}  // namespace hearth::engine
