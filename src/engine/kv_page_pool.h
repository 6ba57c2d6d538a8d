// One arena of KV-cache pages for the sessions of all models.
//
// Why pages: sessions grow one token at a time and end in any order.  A contiguous
// buffer per session would either reserve its whole context up front or move live
// keys while a kernel reads them.  Pages of model::kPageTokens tokens waste at most
// one page per session and never move.
//
// Why one arena: a switch of model must not allocate, and memory promised to an idle
// model is lost to the others.  Models differ in page size, so the arena is cut into
// units of 2 MiB (a huge page), and a *slab* of whole units is lent to one page size
// (a PageClass) for as long as any of its pages lives.  A class takes as few units
// per slab as keep the unused rest under kSlabWasteMax; slabs lie at multiples of
// their own length, so a class's slabs can never block one another: once the other
// classes are gone, `capacity_pages` of a class can always be had.
//
// Why reference counts: sessions with the same prompt prefix, and the prefix cache,
// point at the same pages.  A page is written only while its count is one;
// `make_writable` copies it first otherwise.
//
// Rejected: a free list threaded through the pages themselves (on a GPU the host can't
// read them, and here it would touch cold memory); giving slabs back to the operating
// system (paging them in again costs more than a millisecond per MiB).
//
// Address space is taken once, in `create`; physical memory follows on first touch, which a thread
// of the pool's own does some MiB ahead of the highest slab so far (`touch_ahead.h`), from the first
// slab on.  No later call allocates memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/touch_ahead.h"

namespace hearth::engine {

// Names a page of a pool; not a pointer, so it would mean the same on a CPU and a GPU.
enum class PageId : std::uint32_t {};

// Names a page size of a pool.
enum class PageClass : std::uint32_t {};

inline constexpr std::size_t kPageBytesMin = 4096;           // Smaller pages are rounded up.
inline constexpr std::size_t kPageAlignment = 256;           // Page sizes are rounded up to it.
inline constexpr std::size_t kUnitBytesMin = 64 * kPageBytesMin;
inline constexpr double kSlabWasteMax = 1.0 / 8;             // Of a slab's bytes.
inline constexpr std::uint32_t kPageClassesMax = 256;        // With pages live at one time.
inline constexpr std::size_t kTouchedAheadBytes = std::size_t{8} << 20;

struct KvPagePoolOptions {
  std::uint64_t bytes_max = 0;                    // Rounded down to whole units; at least one.
  std::size_t unit_bytes = std::size_t{2} << 20;  // A power of two, at least kUnitBytesMin.
};

// Owns the arena.
//
// Threading: externally synchronised (the engine thread is the only caller; kernels receive
// addresses, never the pool), but `capacity_pages` may be called from any thread.
class KvPagePool {
 public:
  // kInvalidArgument for options out of range, kOutOfBudget if the system refuses the memory.
  static Result<std::unique_ptr<KvPagePool>> create(const KvPagePoolOptions& options);

  ~KvPagePool();
  KvPagePool(const KvPagePool&) = delete;
  KvPagePool& operator=(const KvPagePool&) = delete;

  // The class of pages of `page_bytes`; the same value for the same rounded size while any of its
  // pages lives.  kOutOfBudget if not one page fits the arena or kPageClassesMax sizes are in use.
  Result<PageClass> page_class(std::size_t page_bytes);

  // Takes pages.size() pages of one class, all or none, each with a count of one.  The contents are
  // whatever the last owner left: callers write before they read.  kOutOfBudget if pages are short.
  Result<> acquire(PageClass page_class, std::span<PageId> pages);

  // Adds an owner.  The page must be live.
  void share(PageId page);

  // Drops an owner; the last one returns the page to the pool.  The page must be live.
  void release(PageId page);

  // Returns a page with the same bytes and a count of one: `page` itself if it is not shared, else
  // a copy (and drops the caller's share of the original).  kOutOfBudget leaves all as it was.
  Result<PageId> make_writable(PageId page);

  std::span<std::byte> bytes(PageId page);
  std::uint32_t owners(PageId page) const { return owners_[index(page)]; }
  PageClass class_of(PageId page) const { return slabs_[unit_of(page)].page_class; }
  std::size_t page_bytes(PageClass page_class) const { return class_at(page_class).page_bytes; }

  // Pages of this size that the empty arena holds; 0 if not one fits.
  std::uint64_t capacity_pages(std::size_t page_bytes) const;
  // Pages that `acquire` could hand out now.
  std::uint64_t available_pages(PageClass page_class) const;

  std::uint64_t pages_used() const { return pages_used_; }
  std::uint64_t bytes_used() const { return bytes_used_; }   // Of live pages.
  std::uint64_t bytes_max() const { return std::uint64_t{n_units_} * unit_bytes_; }

  // For tests of failure: the n-th acquisition of a page from now (1 is the next) fails once as if
  // pages were short; 0 takes that back.
  void fail_nth_page(std::uint64_t n) { pages_until_fault_ = n; }

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  // Units per slab and pages per slab of a page size, in this arena.
  struct Shape {
    std::size_t page_bytes = 0;
    std::uint32_t units_per_slab = 0;  // 0: not one page fits.
    std::uint32_t pages_per_slab = 0;
  };
  struct Class : Shape {
    std::uint32_t first_partial = kNone;  // First unit of a slab with free pages; a linked list.
    std::uint32_t n_slabs = 0;
    std::uint64_t n_free = 0;             // Free pages in this class's slabs.
  };
  struct Slab {                           // Kept at the index of the slab's first unit.
    PageClass page_class{};
    std::uint32_t n_used = 0;
    std::uint32_t first_free = kNone;     // Page index; linked through next_free_.
    std::uint32_t prev_partial = kNone;
    std::uint32_t next_partial = kNone;
  };

  KvPagePool(const KvPagePoolOptions& options, std::byte* mapping, std::size_t mapping_bytes);

  static std::uint32_t index(PageId page) { return static_cast<std::uint32_t>(page); }
  std::uint32_t unit_of(PageId page) const { return index(page) / slots_per_unit_; }
  Class& class_at(PageClass c) { return classes_[static_cast<std::uint32_t>(c)]; }
  const Class& class_at(PageClass c) const { return classes_[static_cast<std::uint32_t>(c)]; }

  Shape shape_of(std::size_t page_bytes) const;
  bool is_run_free(std::uint32_t first_unit, std::uint32_t n_units) const;
  bool consume_fault(std::size_t n_pages);
  PageId take_page(PageClass page_class);
  void open_slab(PageClass page_class);
  void close_slab(std::uint32_t first_unit);
  void link_partial(std::uint32_t first_unit);
  void unlink_partial(std::uint32_t first_unit);

  std::byte* mapping_;          // What the system gave us; the arena is its aligned part.
  std::size_t mapping_bytes_;
  std::byte* arena_;
  std::size_t unit_bytes_;
  std::uint32_t n_units_;
  std::uint32_t slots_per_unit_;       // Page indices per unit: unit_bytes / kPageBytesMin.
  std::uint64_t pages_used_ = 0;
  std::uint64_t bytes_used_ = 0;
  std::uint64_t pages_until_fault_ = 0;

  // A page's index is (first unit of its slab) * slots_per_unit_ + (its number in the slab).
  // Invariant: owners_[i] == 0 exactly for pages in a free list or outside any slab.
  std::vector<Class> classes_;
  std::vector<Slab> slabs_;                // [n_units]
  std::vector<bool> unit_taken_;           // [n_units]
  std::vector<std::uint32_t> owners_;      // [n_units * slots_per_unit]
  std::vector<std::uint32_t> next_free_;   // [n_units * slots_per_unit]

  std::optional<TouchAhead> toucher_;      // Of the arena, while it is mapped.
};

}  // namespace hearth::engine
