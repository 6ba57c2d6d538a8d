#include "engine/kv_page_pool.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <new>

#include "engine/catch_error.h"

namespace hearth::engine {
namespace {

std::size_t round_up(std::size_t value, std::size_t to) { return (value + to - 1) / to * to; }

Result<> check_options(const KvPagePoolOptions& options) {
  if (!std::has_single_bit(options.unit_bytes) || options.unit_bytes < kUnitBytesMin) {
    return fail(Code::kInvalidArgument,
                fmt::format("unit_bytes is {}: a power of two of at least {} expected",
                            options.unit_bytes, kUnitBytesMin));
  }
  const std::uint64_t n_units = options.bytes_max / options.unit_bytes;
  const std::uint64_t n_units_max = UINT32_MAX / (options.unit_bytes / kPageBytesMin);
  if (n_units == 0 || n_units > n_units_max) {
    return fail(Code::kInvalidArgument,
                fmt::format("the KV cache is given {} bytes: at least {} and at most {} expected",
                            options.bytes_max, options.unit_bytes,
                            n_units_max * options.unit_bytes));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<KvPagePool>> KvPagePool::create(const KvPagePoolOptions& options) {
  HEARTH_TRY_VOID(check_options(options));
  const std::size_t arena_bytes = options.bytes_max / options.unit_bytes * options.unit_bytes;
  const std::size_t mapping_bytes = arena_bytes + options.unit_bytes;  // Room to align.
  void* const mapping = ::mmap(nullptr, mapping_bytes, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) {
    return fail(Code::kOutOfBudget, fmt::format("the system refuses {} bytes for the KV cache: {}",
                                                mapping_bytes, std::strerror(errno)));
  }
  std::unique_ptr<KvPagePool> pool;
  try {
    pool.reset(new KvPagePool(options, static_cast<std::byte*>(mapping), mapping_bytes));
  } catch (const std::bad_alloc&) {
    ::munmap(mapping, mapping_bytes);
    return fail(Code::kOutOfBudget, "memory ran out for the tables of the KV cache");
  }
  const std::span arena(pool->arena_, arena_bytes);
  (void)::madvise(arena.data(), arena.size(), MADV_HUGEPAGE);  // Advice: may be refused.
  // Without a thread, whoever writes first touches.
  (void)catch_error([&] { pool->toucher_.emplace(arena, options.unit_bytes); });
  return pool;
}

KvPagePool::KvPagePool(const KvPagePoolOptions& options, std::byte* mapping,
                       std::size_t mapping_bytes)
    : mapping_(mapping),
      mapping_bytes_(mapping_bytes),
      arena_(reinterpret_cast<std::byte*>(
          round_up(reinterpret_cast<std::uintptr_t>(mapping), options.unit_bytes))),
      unit_bytes_(options.unit_bytes),
      n_units_(static_cast<std::uint32_t>(options.bytes_max / options.unit_bytes)),
      slots_per_unit_(static_cast<std::uint32_t>(options.unit_bytes / kPageBytesMin)) {
  classes_.reserve(kPageClassesMax);
  slabs_.resize(n_units_);
  unit_taken_.resize(n_units_);
  owners_.resize(std::size_t{n_units_} * slots_per_unit_);
  next_free_.resize(std::size_t{n_units_} * slots_per_unit_);
}

KvPagePool::~KvPagePool() {
  toucher_.reset();
  ::munmap(mapping_, mapping_bytes_);
}

// The fewest units per slab that keep the waste under kSlabWasteMax; in an arena too small for
// that, those that make the most of it.
KvPagePool::Shape KvPagePool::shape_of(std::size_t page_bytes) const {
  Shape best;
  best.page_bytes = std::max(kPageBytesMin, round_up(page_bytes, kPageAlignment));
  if (best.page_bytes > std::size_t{n_units_} * unit_bytes_) return best;
  // With 8 pages in a slab, or more, less than one of them is wasted: 1/8 at most.
  const std::size_t units_enough = (8 * best.page_bytes + unit_bytes_ - 1) / unit_bytes_;
  const auto units_max = static_cast<std::uint32_t>(std::min<std::size_t>(n_units_, units_enough));
  std::uint64_t best_capacity = 0;
  for (std::uint32_t units = 1; units <= units_max; ++units) {
    const std::size_t slab_bytes = units * unit_bytes_;
    const auto pages = static_cast<std::uint32_t>(slab_bytes / best.page_bytes);
    const std::uint64_t capacity = std::uint64_t{n_units_ / units} * pages;
    const bool is_thrifty = static_cast<double>(slab_bytes - pages * best.page_bytes) <=
                            static_cast<double>(slab_bytes) * kSlabWasteMax;
    if (capacity > best_capacity) {
      best_capacity = capacity;
      best.units_per_slab = units;
      best.pages_per_slab = pages;
    }
    if (is_thrifty && pages > 0 && best.units_per_slab == units) break;
  }
  return best;
}

std::uint64_t KvPagePool::capacity_pages(std::size_t page_bytes) const {
  const Shape shape = shape_of(page_bytes);
  if (shape.units_per_slab == 0) return 0;
  return std::uint64_t{n_units_ / shape.units_per_slab} * shape.pages_per_slab;
}

Result<PageClass> KvPagePool::page_class(std::size_t page_bytes) {
  const Shape shape = shape_of(page_bytes);
  if (shape.units_per_slab == 0) {
    return fail(Code::kOutOfBudget,
                fmt::format("one KV page takes {} bytes, the KV cache has {}: give it more",
                            shape.page_bytes, bytes_max()));
  }
  std::uint32_t unused = kNone;
  for (std::uint32_t i = 0; i < classes_.size(); ++i) {
    if (classes_[i].page_bytes == shape.page_bytes) return PageClass{i};
    if (classes_[i].n_slabs == 0) unused = i;
  }
  if (unused == kNone && classes_.size() == kPageClassesMax) {
    return fail(Code::kOutOfBudget,
                fmt::format("KV pages of {} sizes are in use, at most {} can be at one time",
                            classes_.size(), kPageClassesMax));
  }
  if (classes_.size() < kPageClassesMax) {
    unused = static_cast<std::uint32_t>(classes_.size());
    classes_.emplace_back();  // Reserved: does not allocate.
  }
  classes_[unused] = Class{};
  static_cast<Shape&>(classes_[unused]) = shape;
  return PageClass{unused};
}

bool KvPagePool::is_run_free(std::uint32_t first_unit, std::uint32_t n_units) const {
  if (first_unit + n_units > n_units_) return false;
  for (std::uint32_t i = 0; i < n_units; ++i) {
    if (unit_taken_[first_unit + i]) return false;
  }
  return true;
}

std::uint64_t KvPagePool::available_pages(PageClass page_class) const {
  const Class& c = class_at(page_class);
  std::uint64_t n_pages = c.n_free;
  for (std::uint32_t unit = 0; unit < n_units_; unit += c.units_per_slab) {
    if (is_run_free(unit, c.units_per_slab)) n_pages += c.pages_per_slab;
  }
  return n_pages;
}

// Whether an injected fault falls among the next n_pages.
bool KvPagePool::consume_fault(std::size_t n_pages) {
  if (pages_until_fault_ == 0) return false;
  const bool strikes = pages_until_fault_ <= n_pages;
  pages_until_fault_ = strikes ? 0 : pages_until_fault_ - n_pages;
  return strikes;
}

Result<> KvPagePool::acquire(PageClass page_class, std::span<PageId> pages) {
  const Class& c = class_at(page_class);
  const bool fault = consume_fault(pages.size());
  if (fault || (pages.size() > c.n_free && pages.size() > available_pages(page_class))) {
    return fail(Code::kOutOfBudget,
                fmt::format("{} KV pages of {} bytes wanted, the KV cache of {} bytes has {} free",
                            pages.size(), c.page_bytes, bytes_max(),
                            fault ? 0 : available_pages(page_class)));
  }
  for (PageId& page : pages) page = take_page(page_class);
  return {};
}

PageId KvPagePool::take_page(PageClass page_class) {
  Class& c = class_at(page_class);
  if (c.first_partial == kNone) open_slab(page_class);
  const std::uint32_t unit = c.first_partial;
  Slab& slab = slabs_[unit];
  const std::uint32_t page = slab.first_free;
  slab.first_free = next_free_[page];
  ++slab.n_used;
  --c.n_free;
  if (slab.first_free == kNone) unlink_partial(unit);
  owners_[page] = 1;
  ++pages_used_;
  bytes_used_ += c.page_bytes;
  return PageId{page};
}

// Lends the lowest free run of units to a class.  There must be one.
void KvPagePool::open_slab(PageClass page_class) {
  Class& c = class_at(page_class);
  std::uint32_t unit = 0;
  while (!is_run_free(unit, c.units_per_slab)) {
    unit += c.units_per_slab;
    HEARTH_CHECK(unit < n_units_);
  }
  for (std::uint32_t i = 0; i < c.units_per_slab; ++i) unit_taken_[unit + i] = true;
  Slab& slab = slabs_[unit];
  slab = Slab{};
  slab.page_class = page_class;
  for (std::uint32_t i = c.pages_per_slab; i-- > 0;) {
    const std::uint32_t page = unit * slots_per_unit_ + i;
    next_free_[page] = slab.first_free;
    slab.first_free = page;
  }
  ++c.n_slabs;
  c.n_free += c.pages_per_slab;
  link_partial(unit);
  if (toucher_) toucher_->want((std::size_t{unit} + c.units_per_slab) * unit_bytes_ + kTouchedAheadBytes);
}

// Takes an empty slab back from its class.
void KvPagePool::close_slab(std::uint32_t first_unit) {
  Class& c = class_at(slabs_[first_unit].page_class);
  unlink_partial(first_unit);
  --c.n_slabs;
  c.n_free -= c.pages_per_slab;
  for (std::uint32_t i = 0; i < c.units_per_slab; ++i) unit_taken_[first_unit + i] = false;
}

void KvPagePool::link_partial(std::uint32_t first_unit) {
  Slab& slab = slabs_[first_unit];
  Class& c = class_at(slab.page_class);
  slab.prev_partial = kNone;
  slab.next_partial = c.first_partial;
  if (c.first_partial != kNone) slabs_[c.first_partial].prev_partial = first_unit;
  c.first_partial = first_unit;
}

void KvPagePool::unlink_partial(std::uint32_t first_unit) {
  Slab& slab = slabs_[first_unit];
  Class& c = class_at(slab.page_class);
  (slab.prev_partial == kNone ? c.first_partial : slabs_[slab.prev_partial].next_partial) =
      slab.next_partial;
  if (slab.next_partial != kNone) slabs_[slab.next_partial].prev_partial = slab.prev_partial;
}

void KvPagePool::share(PageId page) {
  HEARTH_CHECK(owners_[index(page)] > 0);
  ++owners_[index(page)];
}

void KvPagePool::release(PageId page) {
  const std::uint32_t i = index(page);
  HEARTH_CHECK(owners_[i] > 0);
  if (--owners_[i] > 0) return;

  const std::uint32_t unit = unit_of(page);
  Slab& slab = slabs_[unit];
  Class& c = class_at(slab.page_class);
  if (slab.first_free == kNone) link_partial(unit);
  next_free_[i] = slab.first_free;
  slab.first_free = i;
  ++c.n_free;
  --pages_used_;
  bytes_used_ -= c.page_bytes;
  if (--slab.n_used == 0) close_slab(unit);
}

Result<PageId> KvPagePool::make_writable(PageId page) {
  if (owners(page) == 1) return page;
  PageId copy{};
  HEARTH_TRY_VOID(acquire(class_of(page), std::span(&copy, 1)));
  const std::span<std::byte> from = bytes(page);
  std::memcpy(bytes(copy).data(), from.data(), from.size());
  release(page);
  return copy;
}

std::span<std::byte> KvPagePool::bytes(PageId page) {
  HEARTH_DCHECK(owners_[index(page)] > 0);
  const std::uint32_t unit = unit_of(page);
  const std::size_t page_size = class_at(slabs_[unit].page_class).page_bytes;
  const std::size_t slot = index(page) - unit * slots_per_unit_;
  return {arena_ + unit * unit_bytes_ + slot * page_size, page_size};
}

}  // namespace hearth::engine
