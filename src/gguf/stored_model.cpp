// A model of the store as a GgufFile: the manifest holds the header, the packs hold the tensors.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "gguf/gguf_file.h"
#include "gguf/manifest.h"
#include "gguf/pack_file.h"
#include "gguf/restored_tensors.h"

namespace hearth::gguf {
namespace {

std::unexpected<Error> import_again(std::string_view model, std::string_view what) {
  return fail(Code::kCorrupt, fmt::format("'{}' {}: import it again", model, what));
}

}  // namespace

Result<GgufFile> GgufFile::header_of(const Manifest& manifest) {
  return parse_header(manifest.header(), manifest.file_name());
}

Result<GgufFile> GgufFile::open_model(const std::filesystem::path& path) {
  {
    HEARTH_TRY(const MappedFile probe, MappedFile::open(path));
    if (Manifest::is_manifest(probe.bytes())) return open_manifest(path);
  }
  return open(path);
}

Result<GgufFile> GgufFile::open_manifest(const std::filesystem::path& path) {
  HEARTH_TRY(Manifest opened, Manifest::open(path));
  const auto manifest = std::make_shared<const Manifest>(std::move(opened));
  HEARTH_TRY(GgufFile file, header_of(*manifest));
  file.manifest_ = manifest;
  const StorePaths store = StorePaths::of_manifest(path);
  for (const PackRef& ref : manifest->packs()) {
    HEARTH_TRY(auto pack, PackFile::open(store.pack(ref.id)));
    if (pack->bytes().size() != ref.file_bytes) {
      return fail(Code::kCorrupt,
                  fmt::format("the pack '{}' has {} bytes, '{}' needs {}: import the model again",
                              pack->path().string(), pack->bytes().size(), path.string(),
                              ref.file_bytes));
    }
    file.packs_.push_back(std::move(pack));
  }
  HEARTH_TRY_VOID(file.place_in_packs());
  return file;
}

// Points each tensor at its bytes, or to where they will be.
Result<> GgufFile::place_in_packs() {
  const auto refs = manifest_->refs();
  if (refs.size() < tensors_.size()) {
    return import_again(name_, fmt::format("has {} tensors and names {}", tensors_.size(), refs.size()));
  }
  std::vector<std::size_t> deltas;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    TensorInfo& info = tensors_[i];
    const TensorRef& ref = refs[i];
    const StoredLayout layout = without_delta(ref.layout);
    if (layout != StoredLayout::kRows && layout != StoredLayout::kPacked) {
      return fail(Code::kUnsupported,
                  fmt::format("'{}' was imported by another version of Hearth, whose layout of "
                              "weights this one does not read: import it again",
                              name_));
    }
    info.layout = layout == StoredLayout::kPacked ? tensor::WeightLayout::kPacked
                                                  : tensor::WeightLayout::kRows;
    if (is_delta(ref.layout)) {
      deltas.push_back(i);
      continue;
    }
    if (tensor_bytes(info) != ref.bytes) {
      return import_again(name_, fmt::format("has a tensor '{}' {} that does not have {} bytes",
                                             info.name, info.shape_text(), ref.bytes));
    }
    info.data = packs_[ref.pack]->bytes().subspan(ref.offset, ref.bytes);
  }
  if (refs.size() > tensors_.size() && deltas.empty()) {
    return import_again(name_, fmt::format("has {} tensors and names {}", tensors_.size(), refs.size()));
  }
  return deltas.empty() ? Result<>{} : place_deltas(deltas);
}

// Gives the tensors `indices`, which are deltas, memory of their own.
Result<> GgufFile::place_deltas(const std::vector<std::size_t>& indices) {
  const auto refs = manifest_->refs();
  const auto bytes_of = [&](const TensorRef& ref) {
    return packs_[ref.pack]->bytes().subspan(ref.offset, ref.bytes);
  };
  std::map<Sha256, std::span<const std::byte>> bases;
  for (const TensorRef& ref : refs.subspan(tensors_.size())) bases[ref.key] = bytes_of(ref);
  std::vector<RestoredTensors::Tensor> wanted;
  for (const std::size_t i : indices) {
    const TensorInfo& info = tensors_[i];
    const auto size = tensor_bytes(info);
    if (!size) {
      return import_again(name_, fmt::format("has a tensor '{}' of the impossible shape {}", info.name,
                                             info.shape_text()));
    }
    wanted.push_back({.name = std::string(info.name),
                      .form = {info.type, info.layout, info.dims[0], *size},
                      .delta = bytes_of(refs[i])});
  }
  HEARTH_TRY(restored_, RestoredTensors::reserve(std::move(wanted), std::move(bases)));
  for (std::size_t n = 0; n < indices.size(); ++n) tensors_[indices[n]].data = restored_->data(n);
  return {};
}

Result<> GgufFile::restore() const {
  return restored_ == nullptr ? Result<>{} : restored_->fill_all();
}

std::vector<std::span<const std::byte>> GgufFile::data_ranges() const {
  if (manifest_ == nullptr) {
    std::vector<std::span<const std::byte>> ranges{bytes_};
    for (const auto& file : rest_) ranges.push_back(file->bytes_);
    return ranges;
  }
  std::vector<TensorRef> sorted;
  for (const TensorRef& ref : manifest_->refs().first(tensors_.size())) {
    if (!is_delta(ref.layout)) sorted.push_back(ref);
  }
  std::ranges::sort(sorted, {}, [](const TensorRef& ref) { return std::pair(ref.pack, ref.offset); });
  // Gaps below a large page are cheaper to bring in than to leave out.
  std::vector<TensorRef> joined;
  for (const TensorRef& ref : sorted) {
    const bool joins =
        !joined.empty() && ref.pack == joined.back().pack &&
        ref.offset <= joined.back().offset + joined.back().bytes + kExtentAlignment;
    if (joins) {
      TensorRef& last = joined.back();
      last.bytes = std::max(last.bytes, ref.offset + ref.bytes - last.offset);
    } else {
      joined.push_back(ref);
    }
  }
  std::vector<std::span<const std::byte>> ranges;
  for (const TensorRef& ref : joined) {
    ranges.push_back(packs_[ref.pack]->bytes().subspan(ref.offset, ref.bytes));
  }
  if (restored_ != nullptr) ranges.push_back(restored_->bytes());
  return ranges;
}

std::vector<MappedPart> GgufFile::parts() const {
  std::vector<MappedPart> parts;
  for (const auto& pack : packs_) parts.push_back({pack->bytes(), pack->path()});
  if (restored_ != nullptr) {
    const auto fill = [restored = restored_](std::span<const std::byte> range) {
      return restored->fill(range);
    };
    parts.push_back({restored_->bytes(), name_, fill});
  }
  if (manifest_ == nullptr && file_.size() > 0) parts.push_back({file_.bytes(), file_.path()});
  for (const auto& file : rest_) parts.push_back({file->file_.bytes(), file->file_.path()});
  return parts;
}

bool GgufFile::is_damaged() const {
  const auto is_damaged = [](const auto& part) { return part->is_damaged(); };
  return file_.is_damaged() || std::ranges::any_of(packs_, is_damaged) ||
         std::ranges::any_of(rest_, is_damaged);
}

}  // namespace hearth::gguf
