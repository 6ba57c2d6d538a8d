// Writes GGUF 3: for tools, for tests, and for quantisation.
//
// Metadata is small and kept in memory as it will lie in the file.  Tensors are not: each
// is asked for only when its turn to be written comes, so that writing a model takes the
// memory of its largest tensor.  The file appears under its name when it is complete.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/value.h"
#include "tensor/dtype.h"

namespace hearth::gguf {

// Threading: externally synchronised.  Keys and names are the caller's to keep distinct; a
// tensor's row must be a multiple of its type's block (both are HEARTH_CHECKed).
class GgufWriter {
 public:
  // Fills a tensor's bytes, exactly as they lie in the file.
  using Source = std::function<void(std::span<std::byte> out)>;

  explicit GgufWriter(std::uint32_t alignment = 32);

  void set_u32(std::string_view key, std::uint32_t value);
  void set_u64(std::string_view key, std::uint64_t value);
  void set_i32(std::string_view key, std::int32_t value);
  void set_f32(std::string_view key, float value);
  void set_bool(std::string_view key, bool value);
  void set_string(std::string_view key, std::string_view value);
  void set_strings(std::string_view key, std::span<const std::string> values);
  void set_f32s(std::string_view key, std::span<const float> values);
  void set_i32s(std::string_view key, std::span<const std::int32_t> values);
  // Copies a value of another file.
  void set_value(std::string_view key, const Value& value);

  // `dims` begin with the contiguous one (a matrix's columns).  The second form copies nothing:
  // `bytes` must outlive the writing.
  void add_tensor(std::string_view name, tensor::DType type, std::span<const std::uint64_t> dims,
                  Source source);
  void add_tensor(std::string_view name, tensor::DType type, std::span<const std::uint64_t> dims,
                  std::span<const std::byte> bytes);

  // The file up to its tensors' data, which is not asked for.
  std::string header() const;
  // The whole file in memory.
  std::string to_bytes() const;
  // Writes beside `path` in pieces of 4 MiB, syncs, and renames over it; the errors are those of
  // file_error (base/file.h).  `goes_on`, asked after each tensor, may end it: kCancelled then, and
  // nothing is left behind.
  Result<> write(const std::filesystem::path& path, const std::function<bool()>& goes_on = {}) const;

 private:
  struct Tensor {
    std::string name;
    tensor::DType type;
    std::vector<std::uint64_t> dims;
    std::size_t bytes;
    Source source;
  };

  void append_key(std::string_view key, ValueType type);
  std::size_t padding(std::size_t at) const { return (alignment_ - at % alignment_) % alignment_; }

  std::uint32_t alignment_;
  std::uint64_t n_metadata_ = 0;
  std::string metadata_;  // As it lies in the file.
  std::vector<std::string> keys_;
  std::vector<Tensor> tensors_;
};

}  // namespace hearth::gguf
