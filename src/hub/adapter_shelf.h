// The adapters that are resident: loaded once, kept while they fit a budget of bytes, least recently
// used first to go.  What a request holds lives on until the request ends.
//
// An adapter belongs to a shape and not to a loaded copy of its base: the base may be evicted and
// come back, and a file that is replaced is noticed by its size and time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "store/catalogue.h"

namespace hearth::hub {

// An adapter that a request asked for.
struct AdapterEntry {
  store::CatalogueEntry entry;
  float weight = 1.0F;
};

// Threading: any thread; `load` may take its time.
class AdapterShelf {
 public:
  using Load = std::function<Result<std::shared_ptr<const model::Adapter>>(
      const store::CatalogueEntry& entry, const model::Model& base)>;

  // bytes_max 0: a quarter of the machine's memory.
  AdapterShelf(Load load, std::uint64_t bytes_max);

  // All of `wanted` for `base`, if they are resident; nothing else costs no more than this.
  std::optional<std::vector<engine::AdapterChoice>> find(std::span<const AdapterEntry> wanted,
                                                         const model::Model& base);
  // The same, with those that are missing loaded; the first error.
  Result<std::vector<engine::AdapterChoice>> get(std::span<const AdapterEntry> wanted,
                                                 const model::Model& base);

  bool is_resident(const std::filesystem::path& path) const;
  std::uint64_t bytes() const;

 private:
  struct Slot {
    std::filesystem::path path;
    store::FileKey key;
    std::shared_ptr<const model::Adapter> adapter;
  };

  std::shared_ptr<const model::Adapter> find_one(const store::CatalogueEntry& entry,
                                                 const model::Model& base);
  void keep(Slot slot);

  const Load load_;
  const std::uint64_t bytes_max_;
  mutable std::mutex mutex_;
  std::list<Slot> slots_;  // Most recently used first.
};

}  // namespace hearth::hub
