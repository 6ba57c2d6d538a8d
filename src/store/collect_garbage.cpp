// Freeing what no model names.
//
// A pack that nothing names is removed.  One that is named in part is written anew without the rest:
// the new pack first, then each manifest in one rename, and only then is the old pack removed, so a
// kill at any moment leaves models that are whole.  A manifest that can't be read might name
// anything: while there is one, no pack is touched.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/file.h"
#include "store/delta_base.h"
#include "store/head.h"
#include "store/inventory.h"
#include "store/pack_writer.h"
#include "store/store_lock.h"
#include "store/upkeep.h"

namespace hearth::store {
namespace {

namespace fs = std::filesystem;
using gguf::PackObject;

class Collector {
 public:
  Collector(const gguf::StorePaths& store, const UpkeepWatch& watch)
      : store_(store), watch_(watch), inventory_(Inventory::read(store)) {}

  Result<FreeReport> run() {
    for (const StoredModel& model : inventory_.models) {
      if (model.manifest) continue;
      return fail(Code::kCorrupt,
                  fmt::format("nothing was freed, since what a model names is unknown: {}; or drop "
                              "it with `hearth models rm`",
                              model.manifest.error().message));
    }
    for (const StoredPack& stored : inventory_.packs) HEARTH_TRY_VOID(look_at(stored));
    remove_vocabularies();
    return report_;
  }

 private:
  Result<> look_at(const StoredPack& stored) {
    if (!stored.pack) return {};  // verify reports it; it may still be repaired by hand.
    std::uint64_t named = 0, unnamed = 0;
    for (const PackObject& object : (*stored.pack)->objects()) {
      (inventory_.named.contains({stored.id, object.offset}) ? named : unnamed) += object.bytes;
    }
    const bool is_wasteful = unnamed * 4 >= named + unnamed;
    if (named > 0 && !is_wasteful) return {};
    if (named > 0) {
      if (!is_whole(stored)) return {};  // A copy would hide the damage.
      HEARTH_TRY_VOID(write_anew(stored, named));
    }
    remove_file(stored.path);
    return {};
  }

  // Whether all that is named of a pack is as it was written.
  bool is_whole(const StoredPack& stored) const {
    const gguf::PackFile& pack = **stored.pack;
    return std::ranges::all_of(pack.objects(), [&](const PackObject& object) {
      return !inventory_.named.contains({stored.id, object.offset}) ||
             hash64(pack.data(object)) == object.sum;
    });
  }

  // Copies what is named of a pack to a new one, and has the manifests name that.
  Result<> write_anew(const StoredPack& stored, std::uint64_t bytes) {
    const gguf::PackFile& old = **stored.pack;
    HEARTH_TRY(PackWriter writer, PackWriter::create(store_, old.objects().size(), bytes));
    std::map<std::uint64_t, PackObject> moved;  // By the old offset.
    for (const PackObject& object : old.objects()) {
      if (!inventory_.named.contains({stored.id, object.offset})) continue;
      if (watch_ && !watch_({report_.bytes, 0, stored.path.filename().native()})) {
        return fail(Code::kCancelled, "interrupted: the rest stays as it was");
      }
      HEARTH_TRY(moved[object.offset], writer.append(object, old.data(object)));
    }
    HEARTH_TRY(const gguf::PackRef fresh, writer.commit());
    for (const StoredModel& model : inventory_.models) {
      HEARTH_TRY_VOID(rename_in(model, stored.id, fresh, moved));
    }
    return {};
  }

  // Rewrites a manifest that names the pack `old`.
  static Result<> rename_in(const StoredModel& model, const Sha256& old,
                            const gguf::PackRef& fresh,
                            const std::map<std::uint64_t, PackObject>& moved) {
    // Read again: an earlier pack's move may have changed it since the inventory.
    HEARTH_TRY(const gguf::Manifest manifest, gguf::Manifest::open(model.path));
    const auto packs = manifest.packs();
    if (std::ranges::find(packs, old, &gguf::PackRef::id) == packs.end()) return {};
    gguf::ManifestDraft draft{.head = manifest.head(),
                              .name = std::string(manifest.name()),
                              .source_path = std::string(manifest.source_path()),
                              .quantization = std::string(manifest.quantization()),
                              .refs = {manifest.refs().begin(), manifest.refs().end()},
                              .packs = {packs.begin(), packs.end()}};
    const auto header = manifest.header();
    draft.header.assign(reinterpret_cast<const char*>(header.data()), header.size());
    for (gguf::TensorRef& ref : draft.refs) {
      if (draft.packs[ref.pack].id == old) ref.offset = moved.at(ref.offset).offset;
    }
    std::ranges::replace_if(
        draft.packs, [&](const gguf::PackRef& pack) { return pack.id == old; }, fresh);
    return write_store_file(model.path, write_manifest(draft));
  }

  // Vocabularies that no manifest names, with their images.
  void remove_vocabularies() {
    std::set<std::string> named;
    for (const StoredModel& model : inventory_.models) {
      named.insert(to_hex(model.manifest->head().vocab));
    }
    std::error_code error;
    std::vector<fs::path> unnamed;
    for (fs::directory_iterator it(store_.vocab(), error), end; !error && it != end;
         it.increment(error)) {
      if (!named.contains(it->path().stem().string())) unnamed.push_back(it->path());
    }
    for (const fs::path& path : unnamed) remove_file(path);
  }

  void remove_file(const fs::path& path) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0 || ::unlink(path.c_str()) != 0) return;
    ++report_.n_files;
    report_.bytes += static_cast<std::uint64_t>(info.st_blocks) * 512;
  }

  const gguf::StorePaths& store_;
  const UpkeepWatch& watch_;
  const Inventory inventory_;
  FreeReport report_;
};

}  // namespace

Result<FreeReport> collect_garbage(const gguf::StorePaths& store, const UpkeepWatch& watch) {
  HEARTH_TRY(const StoreLock lock, StoreLock::take(store));
  return Collector(store, watch).run();
}

namespace {

// What others are differences of stays.
Result<> refuse_base(const gguf::StorePaths& store, std::string_view name) {
  const std::vector<std::string> deltas = deltas_of(store, name);
  if (deltas.empty()) return {};
  return fail(Code::kInvalidArgument,
              fmt::format("'{}' is the base of {}, which {} kept as {} of it: remove {} first, or "
                          "import {} whole",
                          name, fmt::join(deltas, ", "), deltas.size() == 1 ? "is" : "are",
                          deltas.size() == 1 ? "a difference" : "differences",
                          deltas.size() == 1 ? "that" : "those", deltas.size() == 1 ? "it" : "them"));
}

// Unlinks it; false if it is not there.
Result<bool> remove_at(const fs::path& path) {
  if (::unlink(path.c_str()) == 0) {
    sync_folder(path.parent_path());
    return true;
  }
  if (errno == ENOENT) return false;
  return std::unexpected(file_error("remove", path, errno));
}

}  // namespace

Result<FreeReport> remove_model(const gguf::StorePaths& store, std::string_view name) {
  HEARTH_TRY(const StoreLock lock, StoreLock::take(store));
  std::error_code ignored;
  const fs::path adapter = store.adapter(name);
  const std::uint64_t adapter_bytes = file_key(adapter).value_or(FileKey{}).bytes;
  if (fs::exists(store.manifest(name), ignored)) HEARTH_TRY_VOID(refuse_base(store, name));
  HEARTH_TRY(bool is_gone, remove_at(store.manifest(name)));
  if (!is_gone) {
    HEARTH_TRY(is_gone, remove_at(adapter));
    if (is_gone) return FreeReport{1, adapter_bytes};
    return fail(Code::kNotFound, fmt::format("the store has no model '{}'", name));
  }
  return Collector(store, {}).run();
}

}  // namespace hearth::store
