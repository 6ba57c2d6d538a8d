// What lies in the store's files, byte for byte.
//
//   packs/ID.pack       head: PackHead, PackObject[n_objects]; then the objects' bytes
//   models/NAME.model   ManifestHead, then sections: a GGUF header without vocabulary, TensorRef for
//                       each of its tensors in their order and then for each object of another
//                       model that one of them is a delta of, PackRef, texts
//   adapters/NAME.gguf  what `import --as lowrank` made: adapters over models of the store
//   vocab/KEY.gguf      a GGUF file with the keys under `tokenizer.ggml.` and no tensors
//   vocab/KEY.vN        the image of its tokenizer (text/vocab_image.h), version N; made again at need
//
// An object is one tensor in one layout, named by the SHA-256 of layout, type, shape and bytes: equal
// tensors are stored once, whoever imports them.  Objects lie in extents that begin at multiples of
// 2 MiB, since that is what a large page maps.  A pack is written once and never changed; a model is
// a manifest that names objects.  An object may also be a delta (tensor_delta.h) of another, which a
// manifest names beside it, so that nothing that is needed is ever free to go.  A manifest carries the model's own GGUF header, so that every
// hyperparameter has one reader, whether a model was imported or not.
//
// All numbers are little-endian; all structs are plain bytes without padding.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/digest.h"
#include "tensor/pack.h"
#include "tensor/weight_layout.h"

namespace hearth::gguf {

inline constexpr std::uint64_t kPackMagic = 0x4B43'4150'5452'4548;      // "HERTPACK"
inline constexpr std::uint64_t kManifestMagic = 0x4C44'4F4D'5452'4548;  // "HERTMODL"
inline constexpr std::uint32_t kStoreVersion = 1;  // Of the layouts in this file.

inline constexpr std::uint64_t kExtentAlignment = std::uint64_t{2} << 20;
inline constexpr std::uint64_t kObjectAlignment = 64;
inline constexpr std::uint32_t kObjectsMax = 1U << 20;
inline constexpr std::uint32_t kPacksMax = 1U << 16;

// How an object's rows lie: part of its key, so that a new layout never meets an old object.
enum class StoredLayout : std::uint32_t {
  kRows = 0,
  kPacked = 0x100 + tensor::kPackedLayoutVersion,
};

inline StoredLayout stored_layout(tensor::WeightLayout layout) {
  return layout == tensor::WeightLayout::kPacked ? StoredLayout::kPacked : StoredLayout::kRows;
}

// The tensor's bytes are made of another object's; the rest says how they lie then.
inline constexpr std::uint32_t kDeltaFlag = 0x1'0000;
constexpr bool is_delta(StoredLayout layout) {
  return (static_cast<std::uint32_t>(layout) & kDeltaFlag) != 0;
}
constexpr StoredLayout as_delta(StoredLayout layout) {
  return static_cast<StoredLayout>(static_cast<std::uint32_t>(layout) | kDeltaFlag);
}
constexpr StoredLayout without_delta(StoredLayout layout) {
  return static_cast<StoredLayout>(static_cast<std::uint32_t>(layout) & ~kDeltaFlag);
}

// The key of a manifest's header that names the model whose tensors it needs.
inline constexpr const char* kDeltaOfKey = "hearth.delta_of";

struct PackHead {
  std::uint64_t magic = kPackMagic;
  std::uint32_t version = kStoreVersion;
  std::uint32_t n_objects = 0;
  std::uint64_t file_bytes = 0;
  std::uint64_t sum = 0;  // hash64 of this head with the field 0, then of the objects' table.
};
static_assert(sizeof(PackHead) == 32);

struct PackObject {
  Sha256 key{};
  std::uint64_t offset = 0, bytes = 0;  // In the file.
  StoredLayout layout = StoredLayout::kRows;
  std::uint32_t dtype = 0;
  std::array<std::uint64_t, 4> dims{};
  std::uint64_t sum = 0;  // hash64 of the bytes: what can be checked at the speed of memory.
};
static_assert(sizeof(PackObject) == 96);

struct PackRef {
  Sha256 id{};  // Names the file.
  std::uint64_t file_bytes = 0;
};
static_assert(sizeof(PackRef) == 40);

struct TensorRef {
  Sha256 key{};
  std::uint64_t offset = 0, bytes = 0;
  std::uint32_t pack = 0;  // Index of the manifest's packs.
  StoredLayout layout = StoredLayout::kRows;
};
static_assert(sizeof(TensorRef) == 56);

struct Place {
  std::uint64_t offset = 0, bytes = 0;
};

// The file that a model was imported from, as it was then.
struct SourceFile {
  std::uint64_t device = 0, inode = 0, bytes = 0;
  std::int64_t changed_ns = 0;
};

struct ManifestHead {
  std::uint64_t magic = kManifestMagic;
  std::uint32_t version = kStoreVersion;
  std::uint32_t head_bytes = sizeof(ManifestHead);
  std::uint64_t file_bytes = 0;
  std::uint64_t sum = 0;  // hash64 of this head with the field 0, then of the rest of the file.
  Sha256 vocab{};         // Key of the vocabulary.
  SourceFile source;
  std::int64_t imported_unix_s = 0;
  std::uint64_t n_weight_bytes = 0;
  Place header;  // GGUF header.
  Place refs;    // TensorRef[].
  Place packs;   // PackRef[].
  Place name, source_path, quantization;
};

// hash64 of `head` with its sum 0, then of `rest`.
template <class Head>
std::uint64_t sum_of(Head head, std::span<const std::byte> rest) {
  head.sum = 0;
  return hash64(rest, hash64(std::as_bytes(std::span(&head, 1))));
}

}  // namespace hearth::gguf
