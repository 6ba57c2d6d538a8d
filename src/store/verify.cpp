// Reading all of a store, to say that it is as it was written, or what of it is not.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "gguf/gguf_file.h"
#include "gguf/restored_tensors.h"
#include "gguf/vocab_part.h"
#include "store/delta_base.h"
#include "store/head.h"
#include "store/inventory.h"
#include "store/object_key.h"
#include "store/upkeep.h"

namespace hearth::store {
namespace {

using gguf::PackObject;

class Verifier {
 public:
  Verifier(const gguf::StorePaths& store, const UpkeepWatch& watch)
      : store_(store), watch_(watch), inventory_(Inventory::read(store)) {
    for (const StoredPack& stored : inventory_.packs) {
      if (stored.pack) progress_.total += (*stored.pack)->bytes().size();
    }
  }

  Result<VerifyReport> run() {
    for (const StoredPack& stored : inventory_.packs) HEARTH_TRY_VOID(check_pack(stored));
    for (const StoredModel& model : inventory_.models) check_model(model);
    for (const auto& path : stored_adapters(store_)) check_adapter(path);
    return std::move(report_);
  }

 private:
  Result<> check_pack(const StoredPack& stored) {
    ++report_.n_packs;
    if (!stored.pack) {
      report_.problems.push_back(stored.pack.error().message);
      return {};
    }
    const gguf::PackFile& pack = **stored.pack;
    if (pack_id(pack.objects()) != stored.id) {
      report_.problems.push_back(fmt::format("the pack '{}' bears another's name",
                                             stored.path.string()));
      return {};
    }
    std::map<std::uint64_t, const PackObject*>& good = good_[stored.id];
    for (const PackObject& object : pack.objects()) {
      ++report_.n_objects;
      report_.bytes += object.bytes;
      if (object_key(object, pack.data(object)) == object.key) {
        good.emplace(object.offset, &object);
      } else if (inventory_.named.contains({stored.id, object.offset})) {  // Else it only takes room.
        report_.problems.push_back(
            fmt::format("the pack '{}' has damaged bytes between {} and {}", stored.path.string(),
                        object.offset, object.offset + object.bytes));
      }
      HEARTH_TRY_VOID(advance(object.bytes, stored.path.filename().native()));
    }
    if (pack.is_damaged()) {
      report_.problems.push_back(
          fmt::format("the pack '{}' can't be read to its end", stored.path.string()));
    }
    return {};
  }

  Result<> advance(std::uint64_t bytes, std::string_view what) {
    progress_.done += bytes;
    progress_.what = what;
    if (!watch_ || watch_(progress_)) return {};
    return fail(Code::kCancelled, "interrupted before all was read");
  }

  void check_model(const StoredModel& model) {
    ++report_.n_models;
    const std::optional<std::string> problem = problem_of(model);
    if (!problem) return;
    const std::string name =
        model.manifest ? std::string(model.manifest->name()) : model.path.stem().string();
    report_.problems.push_back(fmt::format("model '{}': {}", name, *problem));
    report_.bad_models.push_back(name);
  }

  std::optional<std::string> problem_of(const StoredModel& model) {
    if (!model.manifest) return model.manifest.error().message;
    const gguf::Manifest& manifest = *model.manifest;
    for (const gguf::TensorRef& ref : manifest.refs()) {
      const Sha256& pack = manifest.packs()[ref.pack].id;
      const auto known = good_.find(pack);
      if (known == good_.end()) {
        return fmt::format("its pack {} is missing or unreadable: import it again", to_hex(pack));
      }
      const auto object = known->second.find(ref.offset);
      if (object == known->second.end() || object->second->key != ref.key ||
          object->second->bytes != ref.bytes) {
        return fmt::format("a tensor at {} of its pack {} is damaged: import it again", ref.offset,
                           to_hex(pack));
      }
    }
    if (auto problem = vocab_problem(manifest.head().vocab)) return problem;
    const auto file = gguf::GgufFile::open_model(model.path);
    if (!file) return file.error().message;
    if (file->restored() == nullptr) return std::nullopt;
    const auto restored = file->restored()->check({});
    return restored ? std::nullopt : std::optional(restored.error().message);
  }

  // Of an adapter that the store made: its name's file reads as one.
  void check_adapter(const std::filesystem::path& path) {
    ++report_.n_models;
    const Head head = read_head(path);
    if (head.problem.empty() && head.is_adapter) return;
    report_.problems.push_back(fmt::format(
        "adapter '{}': {}", path.stem().string(), head.problem.empty() ? "it is none" : head.problem));
    report_.bad_models.push_back(path.stem().string());
  }

  std::optional<std::string> vocab_problem(const Sha256& key) {
    const auto file = gguf::GgufFile::open(store_.vocab_source(key));
    if (!file) return file.error().message;
    if (gguf::vocab_key(*file) == key) return std::nullopt;
    return fmt::format("its vocabulary '{}' is damaged: import it again", file->name());
  }

  const gguf::StorePaths& store_;
  const UpkeepWatch& watch_;
  const Inventory inventory_;
  UpkeepProgress progress_;
  VerifyReport report_;
  std::map<Sha256, std::map<std::uint64_t, const PackObject*>> good_;
};

}  // namespace

Result<VerifyReport> verify_store(const gguf::StorePaths& store, const UpkeepWatch& watch) {
  return Verifier(store, watch).run();
}

}  // namespace hearth::store
