#include "store/inventory.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <optional>

#include "store/store_lock.h"

namespace hearth::store {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> files_with(const fs::path& folder, std::string_view suffix) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.ends_with(suffix) && !name.starts_with(kTemporaryPrefix)) files.push_back(it->path());
  }
  std::ranges::sort(files);
  return files;
}

// The id that a pack's name spells.
std::optional<Sha256> id_of(const fs::path& path) {
  const std::string hex = path.stem().string();
  Sha256 id{};
  if (hex.size() != 2 * id.size()) return std::nullopt;
  for (std::size_t i = 0; i < hex.size(); ++i) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    const std::size_t digit = kDigits.find(hex[i]);
    if (digit == kDigits.npos) return std::nullopt;
    id[i / 2] = static_cast<std::uint8_t>(id[i / 2] << 4 | digit);
  }
  return id;
}

std::uint64_t disk_bytes(const fs::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return 0;
  return static_cast<std::uint64_t>(info.st_blocks) * 512;
}

}  // namespace

Inventory Inventory::read(const gguf::StorePaths& store) {
  Inventory made;
  for (const fs::path& path : files_with(store.models(), gguf::kManifestSuffix)) {
    made.models.push_back({path, gguf::Manifest::open(path)});
    const auto& manifest = made.models.back().manifest;
    if (!manifest) continue;
    for (const gguf::TensorRef& ref : manifest->refs()) {
      ++made.named[{manifest->packs()[ref.pack].id, ref.offset}];
    }
  }
  for (const fs::path& path : files_with(store.packs(), gguf::kPackSuffix)) {
    const auto id = id_of(path);
    if (!id) continue;  // Somebody else's.
    made.packs.push_back({path, *id, disk_bytes(path), gguf::PackFile::open(path)});
  }
  return made;
}

StoreUsage usage_of(const Inventory& inventory) {
  StoreUsage usage;
  usage.n_models = inventory.models.size();
  usage.n_packs = inventory.packs.size();
  for (const StoredModel& model : inventory.models) {
    if (!model.manifest) continue;
    usage.model_bytes += model.manifest->head().n_weight_bytes;
  }
  std::uint64_t named_bytes = 0;
  for (const StoredPack& stored : inventory.packs) {
    usage.file_bytes += stored.file_bytes;
    if (!stored.pack) continue;
    for (const gguf::PackObject& object : (*stored.pack)->objects()) {
      ++usage.n_objects;
      const bool is_named = inventory.named.contains({stored.id, object.offset});
      (is_named ? named_bytes : usage.unnamed_bytes) += object.bytes;
    }
  }
  usage.shared_bytes = usage.model_bytes - std::min(usage.model_bytes, named_bytes);
  return usage;
}

}  // namespace hearth::store
