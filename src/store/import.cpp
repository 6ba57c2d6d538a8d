#include "store/import.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <optional>
#include <vector>

#include "base/thread_pool.h"
#include "gguf/vocab_part.h"
#include "store/head.h"
#include "store/inventory.h"
#include "store/object_key.h"
#include "store/pack_writer.h"
#include "store/store_lock.h"
#include "tensor/aligned_buffer.h"
#include "tensor/pack.h"

namespace hearth::store {
namespace {

using gguf::PackObject;
using gguf::TensorInfo;

// The objects that the store has already, by their keys.
class KnownObjects {
 public:
  explicit KnownObjects(const Inventory& inventory) {
    for (const StoredPack& stored : inventory.packs) {
      if (!stored.pack) continue;
      for (const PackObject& object : (*stored.pack)->objects()) {
        objects_.emplace(object.key, Known{&stored, &object});
      }
    }
  }

  struct Known {
    const StoredPack* stored;
    const PackObject* object;
  };

  // One with these very bytes: a copy that has rotted is not taken, so importing again repairs.
  std::optional<Known> find(const Sha256& key, std::span<const std::byte> bytes) const {
    for (auto [it, end] = objects_.equal_range(key); it != end; ++it) {
      if (std::ranges::equal((*it->second.stored->pack)->data(*it->second.object), bytes)) {
        return it->second;
      }
    }
    return std::nullopt;
  }

 private:
  std::multimap<Sha256, Known> objects_;
};

class Importer {
 public:
  Importer(const gguf::GgufFile& source, const ImportOptions& options)
      : source_(source), options_(options), pool_(options.n_threads) {
    for (const TensorInfo& info : source.tensors()) progress_.total += info.data.size();
  }

  Result<ImportReport> run() {
    HEARTH_CHECK(options_.layouts.size() == source_.tensors().size());
    HEARTH_TRY(const StoreLock lock, StoreLock::take(options_.store, [this] { return goes_on(); }));
    const auto path = options_.store.manifest(options_.name);
    std::error_code ignored;
    if (!options_.replace && std::filesystem::exists(path, ignored)) {
      return fail(Code::kInvalidArgument,
                  fmt::format("the store has a model '{}' already: choose another --name, or say "
                              "--force to replace it",
                              options_.name));
    }
    if (!options_.delta.base.empty()) {
      HEARTH_TRY_VOID(refuse_own_base());
      HEARTH_TRY(base_, DeltaBase::open(options_.store, options_.delta.base));
    }
    HEARTH_TRY_VOID(store_vocab());
    HEARTH_TRY_VOID(store_tensors());
    HEARTH_TRY_VOID(write_store_file(path, write_manifest(draft())));
    report_.manifest = path;
    return report_;
  }

 private:
  Result<> refuse_own_base() const {
    if (options_.delta.base != options_.name) return {};
    return fail(Code::kInvalidArgument,
                fmt::format("'{}' can't be kept as a difference of itself: choose another --name",
                            options_.name));
  }

  bool goes_on() const { return !options_.progress || options_.progress(progress_); }

  Result<> store_vocab() {
    vocab_ = gguf::vocab_key(source_);
    const auto path = options_.store.vocab_source(vocab_);
    const std::string bytes = gguf::vocab_file(source_);
    // One that is there and is not this one has rotted.
    const auto known = MappedFile::open(path);
    const auto wanted = std::as_bytes(std::span(bytes));
    if (known && std::ranges::equal(known->bytes(), wanted)) return {};
    return write_store_file(path, bytes);
  }

  Result<> store_tensors() {
    const Inventory inventory = Inventory::read(options_.store);
    const KnownObjects known(inventory);
    HEARTH_TRY(PackWriter writer, PackWriter::create(options_.store, source_.tensors().size() + 1,
                                                     progress_.total));
    refs_.resize(source_.tensors().size());
    // Small tensors lie together in front, the others in the file's order, which is that of use.
    for (const bool small : {true, false}) {
      for (std::size_t i = 0; i < source_.tensors().size(); ++i) {
        const TensorInfo& info = source_.tensors()[i];
        if ((info.data.size() <= kSmallBytesMax) != small) continue;
        HEARTH_TRY_VOID(store_tensor(info, i, known, writer));
      }
    }
    // What deltas need beside the tensors themselves.
    for (const auto& [key, ref] : base_refs_) refs_.push_back(ref);
    if (source_.is_damaged()) {
      return fail(Code::kCorrupt, fmt::format("'{}' was changed while it was read: import it when "
                                              "it is complete",
                                              source_.name()));
    }
    if (writer.is_empty()) return {};
    HEARTH_TRY(packs_[0], writer.commit());
    return {};
  }

  Result<> store_tensor(const TensorInfo& info, std::size_t index, const KnownObjects& known,
                        PackWriter& writer) {
    progress_.tensor = info.name;
    if (!goes_on()) return fail(Code::kCancelled, "interrupted: nothing was imported");
    const tensor::WeightLayout layout = options_.layouts[index];
    PackObject object;
    object.layout = gguf::stored_layout(layout);
    object.dtype = static_cast<std::uint32_t>(info.type);
    object.dims = info.dims;
    const std::span<const std::byte> bytes =
        layout == tensor::WeightLayout::kPacked ? packed(info) : info.data;
    object.key = object_key(object, bytes);

    report_.bytes += bytes.size();
    ++report_.n_tensors;
    progress_.done += bytes.size();
    if (refer_to_twin(object, bytes, index, known)) {
      report_.shared_bytes += bytes.size();
      return {};
    }
    if (base_) {
      if (auto delta = base_->delta_of(info, layout, bytes, options_.delta.form, pool_)) {
        return store_delta(object, bytes.size(), *std::move(delta), index, known, writer);
      }
    }
    return store_new(object, bytes, index, writer);
  }

  // Names an object of that key and these bytes if there is one.
  bool refer_to_twin(const PackObject& object, std::span<const std::byte> bytes, std::size_t index,
                     const KnownObjects& known) {
    if (const auto twin = known.find(object.key, bytes)) {
      refs_[index] = ref_to(*twin->object, pack_index(twin->stored->id, twin->stored->pack.value()->bytes().size()));
      return true;
    }
    const auto twin = written_.find(object.key);
    if (twin == written_.end()) return false;
    refs_[index] = ref_to(twin->second, 0);
    return true;
  }

  Result<> store_new(PackObject object, std::span<const std::byte> bytes, std::size_t index,
                     PackWriter& writer) {
    report_.new_bytes += bytes.size();
    HEARTH_TRY(object, writer.append(object, bytes));
    written_.emplace(object.key, object);
    refs_[index] = ref_to(object, 0);
    return {};
  }

  // `object` describes the whole tensor, of `whole_bytes`.
  Result<> store_delta(PackObject object, std::uint64_t whole_bytes, DeltaBase::Delta delta,
                       std::size_t index, const KnownObjects& known, PackWriter& writer) {
    const auto bytes = std::as_bytes(std::span(delta.bytes));
    object.layout = gguf::as_delta(object.layout);
    object.key = object_key(object, bytes);
    ++report_.n_deltas;
    report_.delta_bytes += bytes.size();
    report_.delta_whole_bytes += whole_bytes;
    if (delta.loss) report_.losses.push_back(*std::move(delta.loss));
    const gguf::PackRef& pack = base_->packs()[delta.base.pack];
    delta.base.pack = pack_index(pack.id, pack.file_bytes);
    base_refs_.emplace(delta.base.key, delta.base);
    if (refer_to_twin(object, bytes, index, known)) return {};
    return store_new(object, bytes, index, writer);
  }

  // A matrix, or several in one tensor, in panels.
  std::span<const std::byte> packed(const TensorInfo& info) {
    const auto cols = static_cast<std::uint32_t>(info.dims[0]);
    const auto rows = static_cast<std::uint32_t>(info.n_elements() / cols);
    std::byte* const out = buffer_.ensure(info.data.size());
    (void)tensor::pack({info.type, rows, cols, info.data.data()}, out, pool_);
    return {out, info.data.size()};
  }

  static gguf::TensorRef ref_to(const PackObject& object, std::uint32_t pack) {
    return {.key = object.key,
            .offset = object.offset,
            .bytes = object.bytes,
            .pack = pack,
            .layout = object.layout};
  }

  // The place of an older pack in this manifest's list; 0 is the new one's.
  std::uint32_t pack_index(const Sha256& id, std::uint64_t file_bytes) {
    const auto found = std::ranges::find(packs_, id, &gguf::PackRef::id);
    const auto index = static_cast<std::uint32_t>(found - packs_.begin());
    if (found == packs_.end()) packs_.push_back({id, file_bytes});
    return index;
  }

  gguf::ManifestDraft draft() {
    gguf::ManifestDraft made;
    made.head.vocab = vocab_;
    if (const auto key = file_key(source_.name())) {
      made.head.source = {key->device, key->inode, key->bytes, key->changed_ns};
    }
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    made.head.imported_unix_s = std::chrono::duration_cast<std::chrono::seconds>(now).count();
    made.head.n_weight_bytes = report_.bytes;
    made.name = options_.name;
    std::error_code ignored;
    made.source_path = std::filesystem::absolute(source_.name(), ignored).string();
    made.quantization = options_.quantization;
    made.header = gguf::header_without_vocab(source_, base_refs_.empty() ? "" : base_->name());
    made.refs = std::move(refs_);
    made.packs = std::move(packs_);
    drop_unused_first_pack(made);
    return made;
  }

  // Where all tensors were known, no new pack was written.
  static void drop_unused_first_pack(gguf::ManifestDraft& draft) {
    if (draft.packs[0].file_bytes != 0) return;
    draft.packs.erase(draft.packs.begin());
    for (gguf::TensorRef& ref : draft.refs) --ref.pack;
  }

  static constexpr std::size_t kSmallBytesMax = std::size_t{64} << 10;

  const gguf::GgufFile& source_;
  const ImportOptions& options_;
  ThreadPool pool_;
  ImportProgress progress_;
  ImportReport report_;
  Sha256 vocab_{};
  std::vector<gguf::TensorRef> refs_;
  std::vector<gguf::PackRef> packs_{gguf::PackRef{}};  // The first is the one being written.
  std::map<Sha256, PackObject> written_;
  std::optional<DeltaBase> base_;
  std::map<Sha256, gguf::TensorRef> base_refs_;  // By key: what deltas are restored from.
  tensor::AlignedBuffer<std::byte> buffer_;
};

}  // namespace

Result<ImportReport> import_model(const gguf::GgufFile& source, const ImportOptions& options) {
  return Importer(source, options).run();
}

}  // namespace hearth::store
