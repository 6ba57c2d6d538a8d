// GGUF, the file format of the llama.cpp ecosystem: metadata and tensors of a model.
//
//   "GGUF"  u32 version  u64 n_tensors  u64 n_metadata
//   n_metadata x { string key, u32 type, value }       string = u64 length, bytes
//   n_tensors  x { string name, u32 n_dims, u64 dims[n_dims], u32 dtype, u64 offset }
//   padding to general.alignment, then the tensors' data at their offsets
//
// (github.com/ggml-org/ggml/blob/master/docs/gguf.md.)  Model files come from strangers,
// so the parser checks every count, length, shape, type and offset against the bytes
// that are there before it uses one, and allocates only for entries that it has read: a
// file that claims 2^60 tensors costs nothing.  What it hands out are views of the
// mapping; a parse of a real model (300 tensors, 150,000 tokens) reads the header once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/mapped_pages.h"
#include "base/result.h"
#include "gguf/value.h"
#include "tensor/dtype.h"
#include "tensor/weight_layout.h"

namespace hearth::gguf {

// Limits on what a file may claim; real files stay far below each.
inline constexpr std::uint64_t kMetadataCountMax = 65'536;
inline constexpr std::uint64_t kTensorCountMax = 262'144;
inline constexpr std::uint64_t kNameBytesMax = 1'024;  // Of a key or a tensor's name.
inline constexpr std::uint32_t kDimsMax = 4;
inline constexpr std::uint32_t kAlignmentDefault = 32;
inline constexpr std::uint32_t kAlignmentMax = 1U << 20;

class Manifest;
class PackFile;
class RestoredTensors;

struct MetadataEntry {
  std::string_view key;
  Value value;
};

// A tensor where it lies in the file.  dims[0] is the contiguous dimension (a matrix's columns);
// those past n_dims are 1.
struct TensorInfo {
  std::string_view name;
  tensor::DType type = tensor::DType::kF32;
  std::uint32_t n_dims = 1;
  std::array<std::uint64_t, kDimsMax> dims{1, 1, 1, 1};
  std::uint64_t offset = 0;  // From the start of the data section.
  std::span<const std::byte> data;
  // How the rows of a matrix lie; a GGUF file has them as kRows always.
  tensor::WeightLayout layout = tensor::WeightLayout::kRows;

  std::uint64_t n_elements() const { return dims[0] * dims[1] * dims[2] * dims[3]; }
  // "[rows, cols]": the contiguous dimension last, as matrices are written.
  std::string shape_text() const;
};

// Bytes of a tensor's data; absent if a dimension is 0 or the product overflows.
std::optional<std::uint64_t> tensor_bytes(const TensorInfo& info);

// Threading: immutable once open; any thread may read.  Views that it hands out live as
// long as it does (a move keeps them).
class GgufFile {
 public:
  // Maps and parses.  A model that is cut into several files is named by its first and has the
  // tensors of all.  kCorrupt (truncated, inconsistent, not GGUF), kUnsupported (another version,
  // byte order or tensor type), kInvalidArgument (a file of a model that is not its first), or the
  // errors of MappedFile::open; each names the file, the thing and the way out.
  static Result<GgufFile> open(const std::filesystem::path& path);

  // Parses borrowed bytes; `name` stands for the file in errors.
  static Result<GgufFile> parse(std::span<const std::byte> bytes, std::string name);

  // As open(), or a model of the store by its manifest: its tensors lie in packs then, in the layout
  // that each names, and its vocabulary elsewhere.  Only for those who look at `layout`.
  //
  // Tensors that the store keeps as deltas of a base have their place then, but no bytes: restore()
  // fills all of them, and each of parts() says how to fill some.
  static Result<GgufFile> open_model(const std::filesystem::path& path);

  // The metadata and the tensor table of a manifest, which it borrows: no tensor has data.
  static Result<GgufFile> header_of(const Manifest& manifest);

  const std::string& name() const { return name_; }
  std::uint32_t version() const { return version_; }
  std::uint32_t alignment() const { return alignment_; }
  std::span<const std::byte> bytes() const { return bytes_; }
  // The other files of a model that is cut into several; bytes() and header() are the first's.
  std::span<const std::shared_ptr<const GgufFile>> rest() const { return rest_; }
  // Of a model of the store; else null.
  const Manifest* manifest() const { return manifest_.get(); }
  // Fills the tensors that are kept as deltas; nothing to do where there are none.
  Result<> restore() const;
  // Those tensors; null where there are none.
  const RestoredTensors* restored() const { return restored_.get(); }
  // Where the tensors' bytes lie, a few ranges in all.
  std::vector<std::span<const std::byte>> data_ranges() const;
  // The mapped files that they lie in, and the memory of those that are restored; none of borrowed
  // bytes.
  std::vector<MappedPart> parts() const;
  // Whether a byte that was read is not there any more: what was computed from it is wrong.
  bool is_damaged() const;
  // Magic, metadata and tensor table: everything before the padding and the data.
  std::span<const std::byte> header() const { return bytes_.first(header_bytes_); }
  // Both in the file's order.
  std::span<const MetadataEntry> metadata() const { return metadata_; }
  std::span<const TensorInfo> tensors() const { return tensors_; }

  // nullptr where there is none.  Logarithmic time.
  const Value* find(std::string_view key) const;
  const TensorInfo* find_tensor(std::string_view name) const;

  // The value of `key`: kCorrupt if it is missing (without `fallback`), of another kind or out of
  // range.  Integers of any width are taken; get_f32 takes integers too.
  Result<std::uint32_t> get_u32(std::string_view key,
                                std::optional<std::uint32_t> fallback = {}) const;
  Result<float> get_f32(std::string_view key, std::optional<float> fallback = {}) const;
  Result<bool> get_bool(std::string_view key, std::optional<bool> fallback = {}) const;
  Result<std::string_view> get_string(std::string_view key,
                                      std::optional<std::string_view> fallback = {}) const;
  Result<StringRange> get_strings(std::string_view key) const;

 private:
  friend class GgufParser;
  GgufFile() = default;
  // The metadata and the tensor table alone: no tensor has data.
  static Result<GgufFile> parse_header(std::span<const std::byte> bytes, std::string name);
  static Result<GgufFile> open_manifest(const std::filesystem::path& path);
  static Result<GgufFile> open_alone(const std::filesystem::path& path);
  Result<> open_rest(const std::filesystem::path& path, std::uint32_t n_files);
  Result<> join_tensors();
  Result<> place_in_packs();
  Result<> place_deltas(const std::vector<std::size_t>& indices);

  std::string name_;
  MappedFile file_;
  std::vector<std::shared_ptr<const GgufFile>> rest_;
  std::shared_ptr<const Manifest> manifest_;
  std::vector<std::shared_ptr<const PackFile>> packs_;
  std::shared_ptr<const RestoredTensors> restored_;
  std::span<const std::byte> bytes_;
  std::size_t header_bytes_ = 0;
  std::uint32_t version_ = 0;
  std::uint32_t alignment_ = kAlignmentDefault;
  std::vector<MetadataEntry> metadata_;
  std::vector<TensorInfo> tensors_;
  // Indices into the above, sorted by key or name.
  std::vector<std::uint32_t> metadata_by_key_;
  std::vector<std::uint32_t> tensors_by_name_;
};

}  // namespace hearth::gguf
