#include "engine/kv_page_pool.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "base/mapped_pages.h"

namespace hearth::engine {
namespace {

constexpr std::size_t kUnit = kUnitBytesMin;  // 256 KiB.

std::unique_ptr<KvPagePool> make_pool(std::uint64_t n_units) {
  KvPagePoolOptions options;
  options.bytes_max = n_units * kUnit;
  options.unit_bytes = kUnit;
  return std::move(KvPagePool::create(options)).value();
}

std::vector<PageId> take(KvPagePool& pool, PageClass page_class, std::size_t n) {
  std::vector<PageId> pages(n);
  EXPECT_TRUE(pool.acquire(page_class, pages));
  return pages;
}

TEST(KvPagePool, RefusesOptionsOutOfRange) {
  KvPagePoolOptions options;
  options.unit_bytes = kUnit;
  options.bytes_max = kUnit - 1;
  EXPECT_EQ(KvPagePool::create(options).error().code, Code::kInvalidArgument);
  options.bytes_max = kUnit;
  EXPECT_TRUE(KvPagePool::create(options));
  options.unit_bytes = kUnit / 2;
  EXPECT_EQ(KvPagePool::create(options).error().code, Code::kInvalidArgument);
  options.unit_bytes = kUnit + 4096;
  EXPECT_EQ(KvPagePool::create(options).error().code, Code::kInvalidArgument);
  options.unit_bytes = kUnit;
  options.bytes_max = std::uint64_t{1} << 62;
  EXPECT_FALSE(KvPagePool::create(options));
}

TEST(KvPagePool, TouchesMemoryAheadOfItsUse) {
  constexpr std::uint64_t kUnits = 4 * kTouchedAheadBytes / kUnit;
  const auto pool = make_pool(kUnits);
  const PageClass c = pool->page_class(kUnit).value();
  const std::byte* const arena = pool->bytes(take(*pool, c, 1).front()).data();
  const std::span all(arena, kUnits * kUnit);
  const auto touched_within = [&](std::uint64_t bytes) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (resident_bytes(all) < bytes && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return resident_bytes(all);
  };
  // Large pages may come in larger steps than were asked for.
  EXPECT_GE(touched_within(kTouchedAheadBytes), kTouchedAheadBytes);
  EXPECT_LE(resident_bytes(all), 2 * kTouchedAheadBytes);

  const std::vector<PageId> pages = take(*pool, c, 8);
  const std::span<std::byte> last = pool->bytes(pages.back());
  last.front() = std::byte{7};
  EXPECT_GE(touched_within(9 * kUnit + kTouchedAheadBytes), 9 * kUnit + kTouchedAheadBytes);
  EXPECT_EQ(last.front(), std::byte{7}) << "what is written stays";
}

TEST(KvPagePool, HandsOutAllOrNone) {
  const auto pool = make_pool(2);
  const PageClass c = pool->page_class(kUnit / 4).value();
  EXPECT_EQ(pool->available_pages(c), 8U);
  std::vector<PageId> pages = take(*pool, c, 7);
  EXPECT_EQ(pool->available_pages(c), 1U);

  std::vector<PageId> more(2);
  EXPECT_EQ(pool->acquire(c, more).error().code, Code::kOutOfBudget);
  EXPECT_EQ(pool->available_pages(c), 1U);
  EXPECT_EQ(pool->pages_used(), 7U);
  EXPECT_EQ(pool->bytes_used(), 7 * kUnit / 4);

  pool->release(pages.back());
  EXPECT_TRUE(pool->acquire(c, more));
  EXPECT_EQ(pool->available_pages(c), 0U);
}

TEST(KvPagePool, FreesWithTheLastOwner) {
  const auto pool = make_pool(1);
  const PageClass c = pool->page_class(kUnit).value();
  const PageId page = take(*pool, c, 1)[0];
  pool->share(page);
  pool->release(page);
  EXPECT_EQ(pool->available_pages(c), 0U);
  pool->release(page);
  EXPECT_EQ(pool->available_pages(c), 1U);
  EXPECT_EQ(pool->pages_used(), 0U);
}

TEST(KvPagePool, CopiesOnWriteOnlyWhatIsShared) {
  const auto pool = make_pool(1);
  const PageClass c = pool->page_class(4096).value();
  const PageId page = take(*pool, c, 1)[0];
  std::memset(pool->bytes(page).data(), 0x5A, 4096);
  EXPECT_EQ(pool->make_writable(page).value(), page);

  pool->share(page);
  const PageId copy = pool->make_writable(page).value();
  EXPECT_NE(copy, page);
  EXPECT_EQ(pool->owners(page), 1U);
  EXPECT_EQ(pool->owners(copy), 1U);
  EXPECT_EQ(std::memcmp(pool->bytes(page).data(), pool->bytes(copy).data(), 4096), 0);
  pool->bytes(copy)[0] = std::byte{1};
  EXPECT_EQ(pool->bytes(page)[0], std::byte{0x5A});
}

TEST(KvPagePool, KeepsAllWhenACopyFindsNoRoom) {
  const auto pool = make_pool(1);
  const PageClass c = pool->page_class(kUnit).value();
  const PageId page = take(*pool, c, 1)[0];
  pool->share(page);
  EXPECT_EQ(pool->make_writable(page).error().code, Code::kOutOfBudget);
  EXPECT_EQ(pool->owners(page), 2U);
}

TEST(KvPagePool, LendsUnitsToOneSizeThenToAnother) {
  const auto pool = make_pool(4);
  const PageClass small = pool->page_class(4096).value();
  const PageClass large = pool->page_class(2 * kUnit).value();
  EXPECT_EQ(pool->page_class(4000).value(), small) << "sizes are rounded up";
  EXPECT_EQ(pool->available_pages(large), 2U);

  std::vector<PageId> pages = take(*pool, small, 1);
  EXPECT_EQ(pool->available_pages(large), 1U) << "one unit is lent, its pair is broken";
  const PageId big = take(*pool, large, 1)[0];
  EXPECT_EQ(pool->available_pages(small), 2 * 64U - 1);
  pool->release(pages[0]);
  EXPECT_EQ(pool->available_pages(large), 1U);
  EXPECT_EQ(take(*pool, large, 1).size(), 1U);
  pool->release(big);
}

TEST(KvPagePool, PagesLargerThanTheArenaHaveNoClass) {
  const auto pool = make_pool(2);
  EXPECT_EQ(pool->capacity_pages(2 * kUnit), 1U);
  EXPECT_TRUE(pool->page_class(2 * kUnit));
  EXPECT_EQ(pool->capacity_pages(2 * kUnit + 1), 0U);
  EXPECT_EQ(pool->page_class(2 * kUnit + 1).error().code, Code::kOutOfBudget);
}

// For every page size the whole capacity can be had, whatever lived there before, and the waste is
// at most kSlabWasteMax where the arena is large enough for that.
TEST(KvPagePool, WholeCapacityIsReachableForEverySize) {
  const auto pool = make_pool(40);
  for (std::size_t page_bytes = 4096; page_bytes < 6 * kUnit; page_bytes += 31 * 1024) {
    const PageClass c = pool->page_class(page_bytes).value();
    const std::uint64_t capacity = pool->capacity_pages(page_bytes);
    EXPECT_EQ(pool->available_pages(c), capacity);
    const std::vector<PageId> pages = take(*pool, c, capacity);
    PageId more{};
    EXPECT_FALSE(pool->acquire(c, std::span(&more, 1)));
    if (page_bytes <= kUnit) {
      EXPECT_GE(static_cast<double>(capacity * page_bytes),
                (1 - kSlabWasteMax) * 0.94 * static_cast<double>(pool->bytes_max()))
          << page_bytes;
    }
    // Leave a hole pattern, then give the rest back.
    for (std::size_t i = 0; i < pages.size(); i += 2) pool->release(pages[i]);
    for (std::size_t i = 1; i < pages.size(); i += 2) pool->release(pages[i]);
    EXPECT_EQ(pool->pages_used(), 0U);
    EXPECT_EQ(pool->bytes_used(), 0U);
  }
}

// Random use of three sizes, compared with a model that knows only who owns what: no two live pages
// overlap, counts are right, contents stay.
TEST(KvPagePool, RandomUseKeepsPagesApart) {
  const auto pool = make_pool(8);
  const PageClass classes[] = {pool->page_class(4096).value(), pool->page_class(kUnit / 3).value(),
                               pool->page_class(kUnit + 4096).value()};
  struct Live {
    int owners;
    unsigned char fill;
  };
  std::map<PageId, Live> live;
  std::mt19937 random(7);
  for (int i = 0; i < 20000; ++i) {
    const PageClass c = classes[random() % 3];
    if (random() % 2 == 0) {
      PageId page{};
      if (!pool->acquire(c, std::span(&page, 1))) continue;
      ASSERT_FALSE(live.contains(page));
      const auto fill = static_cast<unsigned char>(random());
      std::memset(pool->bytes(page).data(), fill, pool->bytes(page).size());
      live[page] = {1, fill};
    } else if (!live.empty()) {
      const auto chosen = std::next(live.begin(), static_cast<long>(random() % live.size()));
      const auto bytes = pool->bytes(chosen->first);
      ASSERT_EQ(bytes.front(), std::byte{chosen->second.fill});
      ASSERT_EQ(bytes.back(), std::byte{chosen->second.fill});
      if (random() % 4 == 0) {
        pool->share(chosen->first);
        ++chosen->second.owners;
      } else {
        pool->release(chosen->first);
        if (--chosen->second.owners == 0) live.erase(chosen);
      }
    }
    ASSERT_EQ(pool->pages_used(), live.size());
  }
  for (const auto& [page, state] : live) {
    for (int i = 0; i < state.owners; ++i) pool->release(page);
  }
  EXPECT_EQ(pool->pages_used(), 0U);
  for (const PageClass c : classes) {
    EXPECT_EQ(pool->available_pages(c), pool->capacity_pages(pool->page_bytes(c)));
  }
}

TEST(KvPagePool, InjectedFaultStrikesOnceAtTheNthPage) {
  const auto pool = make_pool(1);
  const PageClass c = pool->page_class(4096).value();
  pool->fail_nth_page(3);
  take(*pool, c, 2);
  std::vector<PageId> pages(1);
  EXPECT_FALSE(pool->acquire(c, pages));
  EXPECT_TRUE(pool->acquire(c, pages));
  EXPECT_EQ(pool->pages_used(), 3U);
}

}  // namespace
}  // namespace hearth::engine
