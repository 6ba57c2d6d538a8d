#include "gguf/pack_check.h"

#include <fmt/format.h>

#include <memory>
#include <unordered_map>
#include <vector>

#include "gguf/manifest.h"
#include "gguf/pack_file.h"

namespace hearth::gguf {

Result<> check_packs(const GgufFile& file, const std::function<bool()>& goes_on) {
  const Manifest* const manifest = file.manifest();
  if (manifest == nullptr) return {};
  const StorePaths store = StorePaths::of_manifest(manifest->file_name());
  std::vector<std::shared_ptr<const PackFile>> packs;
  std::vector<std::unordered_map<std::uint64_t, const PackObject*>> objects;
  for (const PackRef& ref : manifest->packs()) {
    HEARTH_TRY(packs.emplace_back(), PackFile::open(store.pack(ref.id)));
    auto& by_offset = objects.emplace_back();
    for (const PackObject& object : packs.back()->objects()) by_offset[object.offset] = &object;
  }
  for (std::size_t i = 0; i < manifest->refs().size(); ++i) {
    const TensorRef& ref = manifest->refs()[i];
    const PackFile& pack = *packs[ref.pack];
    const auto known = objects[ref.pack].find(ref.offset);
    const bool is_whole = known != objects[ref.pack].end() && known->second->key == ref.key &&
                          hash64(pack.data(*known->second)) == known->second->sum;
    if (!is_whole) {
      pack.mark_damaged();
      return fail(Code::kCorrupt,
                  fmt::format("the pack '{}' is damaged in tensor '{}': see `hearth models verify`, "
                              "and import '{}' again",
                              pack.path().string(),
                              i < file.tensors().size() ? file.tensors()[i].name : "of its base",
                              manifest->name()));
    }
    if (!goes_on()) return fail(Code::kCancelled, "the check was stopped");
  }
  return {};
}

}  // namespace hearth::gguf
