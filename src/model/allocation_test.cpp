// The forward pass allocates nothing once its scratch is reserved.
//
// This file replaces the program's operator new by one that counts; it covers all of the room's
// tests, and changes nothing else.  The sanitizers bring their own operator new: skipped there.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "base/temp_folder_for_test.h"
#include "model/random_model.h"
#include "model/session_for_test.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HEARTH_COUNTS_ALLOCATIONS 0
#else
#define HEARTH_COUNTS_ALLOCATIONS 1
#endif

namespace {

std::atomic<std::uint64_t> n_allocations = 0;

#if HEARTH_COUNTS_ALLOCATIONS

void* counted(std::size_t bytes, std::size_t alignment) {
  n_allocations.fetch_add(1, std::memory_order_relaxed);
  const std::size_t padded = (bytes + alignment - 1) / alignment * alignment;
  void* const memory = std::aligned_alloc(alignment, padded == 0 ? alignment : padded);
  if (memory == nullptr) std::abort();  // A test; there is nothing to recover.
  return memory;
}
#endif

}  // namespace

#if HEARTH_COUNTS_ALLOCATIONS

// Not inlined: g++ takes a `free` that it sees beside a `new` for a mistake.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  return counted(bytes, alignof(std::max_align_t));
}
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return counted(bytes, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
#endif

namespace hearth::model {
namespace {

TEST(Allocation, ForwardPassTakesNoneOnceReserved) {
  if (!HEARTH_COUNTS_ALLOCATIONS) GTEST_SKIP() << "a sanitizer owns operator new";
  const TempFolder folder;
  const auto path = folder / "model.gguf";
  for (const char* const type : {"F16", "Q8_0", "Q4_K_M"}) {
    ASSERT_TRUE(write_random_model(path, {.type = type,
                                          .n_layers = 2,
                                          .d_model = 256,
                                          .d_ff = 512,
                                          .n_heads = 4,
                                          .n_kv_heads = 2,
                                          .n_vocab = 512}));
    const auto model = Model::load(path);
    ASSERT_TRUE(model) << model.error().message;
    // One thread: a worker takes a workspace of its own at its first task, whenever that is.
    SessionForTest session(**model, 1, 48);
    const std::vector<text::TokenId> tokens(48, 7);
    std::vector<float> logits(48 * 512);
    // The first pass fills tables; the pages and segments are made before counting.
    session.forward_batch(std::vector{session.segment(tokens, 48, logits.data())});
    const std::vector<Segment> steps{
        session.segment(tokens, 1, logits.data()),
        session.segment(std::span(tokens).first(1), 1, logits.data()),
        session.segment(std::span(tokens).first(31), 31, logits.data())};
    std::vector<Segment> placed = steps;
    for (Segment& step : placed) step.pages = steps.back().pages;

    const std::uint64_t before = n_allocations.load();
    for (const Segment& step : placed) session.forward_batch(std::span(&step, 1));
    EXPECT_EQ(n_allocations.load() - before, 0U) << type;
  }
}

}  // namespace
}  // namespace hearth::model
