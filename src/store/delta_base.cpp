#include "store/delta_base.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "store/store_lock.h"

namespace hearth::store {
namespace {

namespace fs = std::filesystem;

// What is small is read when a model is opened, before anything is restored.
constexpr std::uint64_t kSmallBytesMax = std::uint64_t{64} << 10;

std::string base_named_in(const gguf::GgufFile& header) {
  return std::string(header.get_string(gguf::kDeltaOfKey, "").value_or(""));
}

}  // namespace

Result<DeltaBase> DeltaBase::open(const gguf::StorePaths& store, const std::string& name) {
  const fs::path path = store.manifest(name);
  std::error_code ignored;
  if (!fs::exists(path, ignored)) {
    return fail(Code::kNotFound,
                fmt::format("the store has no model '{0}' to keep a difference of: import it first "
                            "(`hearth models import {0}`)",
                            name));
  }
  HEARTH_TRY(gguf::GgufFile file, gguf::GgufFile::open_model(path));
  if (const std::string below = base_named_in(file); !below.empty()) {
    return fail(Code::kInvalidArgument,
                fmt::format("'{0}' is kept as a difference of '{1}' itself: say --delta-of {1}",
                            name, below));
  }
  return DeltaBase(name, std::move(file));
}

std::optional<DeltaBase::Delta> DeltaBase::delta_of(const gguf::TensorInfo& info,
                                                    tensor::WeightLayout layout,
                                                    std::span<const std::byte> bytes,
                                                    gguf::DeltaForm form, ThreadPool& pool) const {
  const gguf::TensorInfo* const theirs = file_.find_tensor(info.name);
  const bool is_alike = theirs != nullptr && theirs->type == info.type &&
                        theirs->dims == info.dims && theirs->layout == layout;
  if (!is_alike || bytes.size() <= kSmallBytesMax) return std::nullopt;
  Delta made{.base = file_.manifest()->refs()[static_cast<std::size_t>(theirs - file_.tensors().data())]};
  const gguf::TensorForm shape{info.type, layout, info.dims[0], bytes.size()};
  if (form == gguf::DeltaForm::kSigns && info.n_dims >= 2 && gguf::can_keep_signs(info.type)) {
    gguf::SignDelta signs = gguf::sign_delta(shape, bytes, theirs->data, made.base.key, pool);
    made.bytes = std::move(signs.bytes);
    made.loss = DeltaLoss{std::string(info.name), std::sqrt(signs.error_squares / signs.delta_squares)};
  } else {
    made.bytes = gguf::exact_delta(shape, bytes, theirs->data, made.base.key, pool);
  }
  if (made.bytes.size() > bytes.size() - bytes.size() / 8) return std::nullopt;
  return made;
}

std::string delta_base_of(const gguf::Manifest& manifest) {
  const auto header = gguf::GgufFile::header_of(manifest);
  return header ? base_named_in(*header) : std::string();
}

std::string delta_base_of(const fs::path& adapter) {
  const auto file = gguf::GgufFile::open(adapter);
  return file ? base_named_in(*file) : std::string();
}

std::vector<fs::path> stored_adapters(const gguf::StorePaths& store) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator it(store.adapters(), error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.ends_with(".gguf") && !name.starts_with(kTemporaryPrefix)) files.push_back(it->path());
  }
  std::ranges::sort(files);
  return files;
}

Result<fs::path> store_adapter(const gguf::StorePaths& store, std::string_view name,
                               std::string_view bytes, bool replace) {
  HEARTH_TRY(const StoreLock lock, StoreLock::take(store));
  const fs::path path = store.adapter(name);
  std::error_code ignored;
  if (!replace && fs::exists(path, ignored)) {
    return fail(Code::kInvalidArgument,
                fmt::format("the store has an adapter '{}' already: choose another --name, or say "
                            "--force to replace it",
                            name));
  }
  HEARTH_TRY_VOID(write_store_file(path, bytes));
  return path;
}

std::vector<std::string> deltas_of(const gguf::StorePaths& store, std::string_view name) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(store.models(), error), end; !error && it != end;
       it.increment(error)) {
    const std::string file = it->path().filename().string();
    if (!file.ends_with(gguf::kManifestSuffix) || file.starts_with(kTemporaryPrefix)) continue;
    const auto manifest = gguf::Manifest::open(it->path());
    if (manifest && delta_base_of(*manifest) == name) names.emplace_back(manifest->name());
  }
  for (const fs::path& path : stored_adapters(store)) {
    if (delta_base_of(path) == name) names.push_back(path.stem().string());
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace hearth::store
