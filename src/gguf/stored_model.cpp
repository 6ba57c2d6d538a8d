// A model of the store as a GgufFile: the manifest holds the header, the packs hold the tensors.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "gguf/gguf_file.h"
#include "gguf/manifest.h"
#include "gguf/pack_file.h"

namespace hearth::gguf {

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
  HEARTH_TRY(GgufFile file, parse_header(manifest->header(), path.string()));
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

// Points each tensor at its bytes.
Result<> GgufFile::place_in_packs() {
  const auto refs = manifest_->refs();
  if (refs.size() != tensors_.size()) {
    return fail(Code::kCorrupt, fmt::format("'{}' has {} tensors and names {}: import it again",
                                            name_, tensors_.size(), refs.size()));
  }
  for (std::size_t i = 0; i < refs.size(); ++i) {
    TensorInfo& info = tensors_[i];
    const TensorRef& ref = refs[i];
    if (tensor_bytes(info) != ref.bytes) {
      return fail(Code::kCorrupt, fmt::format("'{}': tensor '{}' {} does not have {} bytes: import "
                                              "the model again",
                                              name_, info.name, info.shape_text(), ref.bytes));
    }
    if (ref.layout != StoredLayout::kRows && ref.layout != StoredLayout::kPacked) {
      return fail(Code::kUnsupported,
                  fmt::format("'{}' was imported by another version of Hearth, whose layout of "
                              "weights this one does not read: import it again",
                              name_));
    }
    info.data = packs_[ref.pack]->bytes().subspan(ref.offset, ref.bytes);
    info.layout = ref.layout == StoredLayout::kPacked ? tensor::WeightLayout::kPacked
                                                      : tensor::WeightLayout::kRows;
  }
  return {};
}

std::vector<std::span<const std::byte>> GgufFile::data_ranges() const {
  if (manifest_ == nullptr) {
    std::vector<std::span<const std::byte>> ranges{bytes_};
    for (const auto& file : rest_) ranges.push_back(file->bytes_);
    return ranges;
  }
  std::vector<TensorRef> sorted(manifest_->refs().begin(), manifest_->refs().end());
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
  return ranges;
}

std::vector<MappedPart> GgufFile::parts() const {
  std::vector<MappedPart> parts;
  for (const auto& pack : packs_) parts.push_back({pack->bytes(), pack->path()});
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
