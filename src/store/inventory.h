// What a store holds: its models' manifests, its packs, and which pack's objects are named.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "gguf/manifest.h"
#include "gguf/pack_file.h"

namespace hearth::store {

struct StoredModel {
  std::filesystem::path path;
  Result<gguf::Manifest> manifest;
};

struct StoredPack {
  std::filesystem::path path;
  Sha256 id{};  // As its name says.
  std::uint64_t file_bytes = 0;
  Result<std::shared_ptr<const gguf::PackFile>> pack;
};

// A reading at one moment.
struct Inventory {
  std::vector<StoredModel> models;  // Sorted by path.
  std::vector<StoredPack> packs;    // Sorted by path.
  // (pack, offset) of every object that a readable manifest names, with how many do.
  std::map<std::pair<Sha256, std::uint64_t>, std::uint32_t> named;

  // A store that is not there is an empty one.
  static Inventory read(const gguf::StorePaths& store);
};

// What a store takes and what its sharing saves.
struct StoreUsage {
  std::uint64_t n_models = 0, n_packs = 0, n_objects = 0;
  std::uint64_t file_bytes = 0;      // Of packs, as the disk has them.
  std::uint64_t model_bytes = 0;     // Of all models, each counted as if it were alone.
  std::uint64_t shared_bytes = 0;    // That equal tensors, and differences of others, spare.
  std::uint64_t unnamed_bytes = 0;   // That gc would free.
};
StoreUsage usage_of(const Inventory& inventory);

}  // namespace hearth::store
