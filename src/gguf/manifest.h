// An imported model's manifest (pack_format.h): which tensors it has, where they lie, and whence it
// came.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "gguf/pack_format.h"

namespace hearth::gguf {

// A manifest, mapped.
//
// Threading: immutable once open; any thread may read.
class Manifest {
 public:
  // kCorrupt for a damaged one, kUnsupported for one of another version of Hearth; each message says
  // that importing the model again helps.
  static Result<Manifest> open(const std::filesystem::path& path);
  // The same over borrowed bytes; `name` stands for the file in errors.
  static Result<Manifest> parse(std::span<const std::byte> bytes, std::string name);

  // Of a manifest's first bytes.
  static bool is_manifest(std::span<const std::byte> head);

  const ManifestHead& head() const { return *head_; }
  const std::string& file_name() const { return file_name_; }
  std::string_view name() const { return text(head_->name); }
  std::string_view source_path() const { return text(head_->source_path); }
  std::string_view quantization() const { return text(head_->quantization); }
  std::span<const std::byte> header() const { return part(head_->header); }
  std::span<const TensorRef> refs() const { return refs_; }
  std::span<const PackRef> packs() const { return packs_; }
  // What it is, apart from when and under which name it was imported.
  std::uint64_t identity() const;

 private:
  Manifest() = default;
  Result<> read(std::span<const std::byte> bytes);
  Result<> check_refs() const;
  std::span<const std::byte> part(const Place& place) const {
    return bytes_.subspan(place.offset, place.bytes);
  }
  std::string_view text(const Place& place) const;

  std::string file_name_;
  MappedFile file_;
  std::span<const std::byte> bytes_;
  const ManifestHead* head_ = nullptr;
  std::span<const TensorRef> refs_;
  std::span<const PackRef> packs_;
};

// What a manifest is written from.
struct ManifestDraft {
  ManifestHead head;  // Sums and places are filled in.
  std::string name, source_path, quantization;
  std::string header;  // GGUF header, its tensors in the order of `refs`.
  std::vector<TensorRef> refs;
  std::vector<PackRef> packs;
};
std::string write_manifest(const ManifestDraft& draft);

// Where things of a store lie.
struct StorePaths {
  std::filesystem::path root;

  std::filesystem::path packs() const { return root / "packs"; }
  std::filesystem::path models() const { return root / "models"; }
  std::filesystem::path vocab() const { return root / "vocab"; }
  std::filesystem::path adapters() const { return root / "adapters"; }
  std::filesystem::path lock() const { return root / "lock"; }
  std::filesystem::path pack(const Sha256& id) const;
  std::filesystem::path vocab_source(const Sha256& key) const;
  // The name's bytes that a file can't have are escaped as %XX.
  std::filesystem::path manifest(std::string_view name) const;
  std::filesystem::path adapter(std::string_view name) const;
  // Of a manifest that lies in its store's folder.
  static StorePaths of_manifest(const std::filesystem::path& manifest);
};

inline constexpr std::string_view kManifestSuffix = ".model";
inline constexpr std::string_view kPackSuffix = ".pack";

}  // namespace hearth::gguf
