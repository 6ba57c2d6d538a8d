#include "gguf/gguf_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>

#include "base/utf8.h"
#include "gguf/foreign_file.h"

namespace hearth::gguf {
namespace {

constexpr std::string_view kMagic = "GGUF";

// The least that an entry takes: key length + 1 byte + type + 1-byte value; name length + 1 byte +
// n_dims + 1 dimension + dtype + offset.  A count that needs more bytes than there are is a lie.
constexpr std::uint64_t kMetadataBytesMin = 8 + 1 + 4 + 1;
constexpr std::uint64_t kTensorBytesMin = 8 + 1 + 4 + 8 + 4 + 8;

// Whether `text` can be printed as it stands: names end up in errors and logs.
bool is_printable(std::string_view text) {
  return is_valid_utf8(text) && std::ranges::none_of(text, [](char c) {
           return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
         });
}

std::string known_dtypes() {
  constexpr std::uint32_t kNumbersMax = 64;
  std::string names;
  for (std::uint32_t number = 0; number < kNumbersMax; ++number) {
    const tensor::DTypeInfo* const info = tensor::dtype_info(number);
    if (info == nullptr) continue;
    if (!names.empty()) names += ", ";
    names += info->name;
  }
  return names;
}

// Indices of `entries` sorted by `name_of`.
template <class Entries, class NameOf>
std::vector<std::uint32_t> sorted_by(const Entries& entries, NameOf name_of) {
  std::vector<std::uint32_t> order(entries.size());
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::sort(order, {}, [&](std::uint32_t i) { return name_of(entries[i]); });
  return order;
}

}  // namespace

// Reads a file front to back; each step leaves `at_` behind what it has checked.
class GgufParser {
 public:
  GgufParser(std::span<const std::byte> bytes, std::string name) : bytes_(bytes) {
    file_.name_ = std::move(name);
    file_.bytes_ = bytes;
  }

  Result<GgufFile> run_header() && {
    HEARTH_TRY_VOID(read_header());
    return std::move(file_);
  }

  Result<GgufFile> run() && {
    HEARTH_TRY_VOID(read_header());
    // Beyond this point nothing is read, only checked against the bytes that are there.
    HEARTH_TRY_VOID(place_tensors());
    HEARTH_TRY_VOID(check_overlap());
    return std::move(file_);
  }

 private:
  Result<> read_header() {
    HEARTH_TRY_VOID(read_preamble());
    HEARTH_TRY_VOID(read_metadata());
    HEARTH_TRY_VOID(read_alignment());
    HEARTH_TRY_VOID(read_tensor_table());
    file_.header_bytes_ = at_;
    return {};
  }

  std::size_t left() const { return bytes_.size() - at_; }

  std::unexpected<Error> corrupt(std::string_view what) const {
    return fail(Code::kCorrupt, fmt::format("'{}': {}", file_.name_, what));
  }
  std::unexpected<Error> truncated(std::string_view inside) const {
    return corrupt(fmt::format("the file ends at byte {} inside {}: download it again",
                               bytes_.size(), inside));
  }

  template <class T>
  Result<T> read(std::string_view inside) {
    if (left() < sizeof(T)) return truncated(inside);
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }

  Result<std::string_view> read_string(std::string_view inside) {
    HEARTH_TRY(const auto length, read<std::uint64_t>(inside));
    if (length > left()) return truncated(inside);
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data() + at_), length);
    at_ += length;
    return text;
  }

  // A key or a tensor's name; `kind` and `index` say which, before it has a name.
  Result<std::string_view> read_name(std::string_view kind, std::uint64_t index) {
    HEARTH_TRY(const std::string_view name, read_string(fmt::format("{} {}", kind, index)));
    if (name.empty() || name.size() > kNameBytesMax || !is_printable(name)) {
      return corrupt(
          fmt::format("{} {} has no valid name ({} bytes, 1 to {} of printable UTF-8 "
                      "allowed): download it again",
                      kind, index, name.size(), kNameBytesMax));
    }
    return name;
  }

  Result<> read_preamble() {
    const std::size_t probe = std::min(kMagic.size(), bytes_.size());
    const std::string_view magic(reinterpret_cast<const char*>(bytes_.data()), probe);
    if (magic != kMagic) {
      return fail(Code::kCorrupt, fmt::format("'{}' is not a GGUF model: {}", file_.name_,
                                              describe_foreign_file(bytes_)));
    }
    at_ = kMagic.size();
    HEARTH_TRY(file_.version_, read<std::uint32_t>("the header"));
    HEARTH_TRY_VOID(check_version());
    HEARTH_TRY(n_tensors_, read<std::uint64_t>("the header"));
    HEARTH_TRY(n_metadata_, read<std::uint64_t>("the header"));
    HEARTH_TRY_VOID(
        check_count("metadata entries", n_metadata_, kMetadataCountMax, kMetadataBytesMin));
    return check_count("tensors", n_tensors_, kTensorCountMax, kTensorBytesMin);
  }

  Result<> check_version() const {
    const std::uint32_t version = file_.version_;
    if (version == 2 || version == 3) return {};
    std::string_view way_out = "convert the model again with a current tool";
    if (version > 3) way_out = "it is newer than this build: update Hearth";
    if ((version & 0xFFFF) == 0 && version != 0) {
      return fail(Code::kUnsupported,
                  fmt::format("'{}' is a big-endian GGUF file, only little-endian ones are read: "
                              "get or convert a little-endian one",
                              file_.name_));
    }
    return fail(Code::kUnsupported,
                fmt::format("'{}' is GGUF version {}, versions 2 and 3 are read: {}", file_.name_,
                            version, way_out));
  }

  Result<> check_count(std::string_view what, std::uint64_t count, std::uint64_t max,
                       std::uint64_t bytes_each) const {
    if (count > max) {
      return corrupt(
          fmt::format("it claims {} {}, at most {} are read: download it again", count, what, max));
    }
    if (count > left() / bytes_each) return truncated(fmt::format("its {} {}", count, what));
    return {};
  }

  Result<> read_metadata() {
    for (std::uint64_t i = 0; i < n_metadata_; ++i) {
      HEARTH_TRY(const std::string_view key, read_name("metadata key", i));
      HEARTH_TRY(const Value value, read_value(key));
      file_.metadata_.push_back({key, value});
    }
    const auto key_of = [](const MetadataEntry& entry) { return entry.key; };
    file_.metadata_by_key_ = sorted_by(file_.metadata_, key_of);
    const auto twin = std::ranges::adjacent_find(
        file_.metadata_by_key_, {}, [&](std::uint32_t i) { return file_.metadata_[i].key; });
    if (twin == file_.metadata_by_key_.end()) return {};
    return corrupt(fmt::format("key '{}' occurs twice: get the file from its source again",
                               file_.metadata_[*twin].key));
  }

  Result<Value> read_value(std::string_view key) {
    const std::string inside = fmt::format("the value of key '{}'", key);
    HEARTH_TRY(const auto number, read<std::uint32_t>(inside));
    const auto type = static_cast<ValueType>(number);
    if (type == ValueType::kString) {
      HEARTH_TRY(const std::string_view text, read_string(inside));
      return Value(type, std::as_bytes(std::span(text)));
    }
    if (type == ValueType::kArray) return read_array(key, inside);
    const std::size_t size = scalar_bytes(type);
    if (size == 0) return unknown_value_type(key, number);
    if (left() < size) return truncated(inside);
    const auto payload = bytes_.subspan(at_, size);
    at_ += size;
    return Value(type, payload);
  }

  Result<Value> read_array(std::string_view key, std::string_view inside) {
    HEARTH_TRY(const auto number, read<std::uint32_t>(inside));
    HEARTH_TRY(const auto count, read<std::uint64_t>(inside));
    const auto type = static_cast<ValueType>(number);
    if (type == ValueType::kArray) {
      return fail(Code::kUnsupported,
                  fmt::format("'{}': key '{}' is an array of arrays, which this build does not "
                              "read: convert the model again without it",
                              file_.name_, key));
    }
    const std::size_t start = at_;
    if (type == ValueType::kString) {
      HEARTH_TRY_VOID(skip_strings(count, inside));
    } else {
      const std::size_t size = scalar_bytes(type);
      if (size == 0) return unknown_value_type(key, number);
      if (count > left() / size) return truncated(inside);
      at_ += static_cast<std::size_t>(count) * size;
    }
    return Value(type, static_cast<std::size_t>(count), bytes_.subspan(start, at_ - start));
  }

  // Walks past `count` strings, checking each length.
  Result<> skip_strings(std::uint64_t count, std::string_view inside) {
    if (count > left() / sizeof(std::uint64_t)) return truncated(inside);
    for (std::uint64_t i = 0; i < count; ++i) {
      std::uint64_t length;
      if (left() < sizeof length) return truncated(inside);
      std::memcpy(&length, bytes_.data() + at_, sizeof length);
      at_ += sizeof length;
      if (length > left()) return truncated(inside);
      at_ += static_cast<std::size_t>(length);
    }
    return {};
  }

  std::unexpected<Error> unknown_value_type(std::string_view key, std::uint32_t number) const {
    return corrupt(
        fmt::format("key '{}' has the unknown value type {}: download it again", key, number));
  }

  Result<> read_alignment() {
    HEARTH_TRY(file_.alignment_, file_.get_u32("general.alignment", kAlignmentDefault));
    const std::uint32_t alignment = file_.alignment_;
    if (alignment >= 8 && alignment <= kAlignmentMax && std::has_single_bit(alignment)) return {};
    return corrupt(
        fmt::format("general.alignment is {}, a power of two from 8 to {} is needed: "
                    "convert the model again",
                    alignment, kAlignmentMax));
  }

  Result<> read_tensor_table() {
    // Metadata has used bytes up: what was plausible at the header may be no longer.
    HEARTH_TRY_VOID(check_count("tensors", n_tensors_, kTensorCountMax, kTensorBytesMin));
    for (std::uint64_t i = 0; i < n_tensors_; ++i) {
      HEARTH_TRY(const TensorInfo info, read_tensor(i));
      file_.tensors_.push_back(info);
    }
    const auto name_of = [](const TensorInfo& info) { return info.name; };
    file_.tensors_by_name_ = sorted_by(file_.tensors_, name_of);
    const auto twin = std::ranges::adjacent_find(
        file_.tensors_by_name_, {}, [&](std::uint32_t i) { return file_.tensors_[i].name; });
    if (twin == file_.tensors_by_name_.end()) return {};
    return corrupt(fmt::format("tensor '{}' occurs twice: get the file from its source again",
                               file_.tensors_[*twin].name));
  }

  Result<TensorInfo> read_tensor(std::uint64_t index) {
    TensorInfo info;
    HEARTH_TRY(info.name, read_name("tensor", index));
    const std::string inside = fmt::format("the description of tensor '{}'", info.name);
    HEARTH_TRY(info.n_dims, read<std::uint32_t>(inside));
    if (info.n_dims == 0 || info.n_dims > kDimsMax) {
      return corrupt(
          fmt::format("tensor '{}' has {} dimensions, 1 to {} allowed: download it again",
                      info.name, info.n_dims, kDimsMax));
    }
    for (std::uint32_t d = 0; d < info.n_dims; ++d) {
      HEARTH_TRY(info.dims[d], read<std::uint64_t>(inside));
    }
    HEARTH_TRY(const auto number, read<std::uint32_t>(inside));
    HEARTH_TRY(info.offset, read<std::uint64_t>(inside));
    HEARTH_TRY_VOID(check_dtype(info, number));
    return info;
  }

  Result<> check_dtype(TensorInfo& info, std::uint32_t number) const {
    const tensor::DTypeInfo* const dtype = tensor::dtype_info(number);
    if (dtype == nullptr) {
      return fail(Code::kUnsupported,
                  fmt::format("'{}': tensor '{}' has the type number {}, which this build does not "
                              "know (it reads {}): get the model in one of these",
                              file_.name_, info.name, number, known_dtypes()));
    }
    info.type = dtype->type;
    if (info.dims[0] % dtype->block_elements == 0) return {};
    return corrupt(
        fmt::format("tensor '{}' has rows of {} elements, {} needs a multiple of {}: "
                    "convert the model again",
                    info.name, info.dims[0], dtype->name, dtype->block_elements));
  }

  // Sets each tensor's span after checking that it lies within the file.
  Result<> place_tensors() {
    const std::size_t start = (at_ + file_.alignment_ - 1) / file_.alignment_ * file_.alignment_;
    for (TensorInfo& info : file_.tensors_) {
      const auto size = tensor_bytes(info);
      if (!size) {
        return corrupt(fmt::format("tensor '{}' has the impossible shape {}: download it again",
                                   info.name, info.shape_text()));
      }
      if (info.offset % file_.alignment_ != 0) {
        return corrupt(
            fmt::format("tensor '{}' lies at offset {}, which is no multiple of the "
                        "alignment {}: convert the model again",
                        info.name, info.offset, file_.alignment_));
      }
      const std::size_t room = bytes_.size() > start ? bytes_.size() - start : 0;
      if (info.offset > room || *size > room - info.offset)
        return tensor_cut_off(info, start, *size);
      info.data = bytes_.subspan(start + info.offset, *size);
    }
    return {};
  }

  std::unexpected<Error> tensor_cut_off(const TensorInfo& info, std::uint64_t start,
                                        std::uint64_t size) const {
    constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
    const std::uint64_t room = kMax - start - size;  // `size` and `start` are below 2^63.
    const std::string end = info.offset > room ? std::string("more than 2^64")
                                               : std::to_string(start + info.offset + size);
    return corrupt(fmt::format("the file ends at byte {}, tensor '{}' needs {}: download it again",
                               bytes_.size(), info.name, end));
  }

  Result<> check_overlap() const {
    const std::vector<std::uint32_t> order =
        sorted_by(file_.tensors_, [](const TensorInfo& info) { return info.offset; });
    for (std::size_t i = 1; i < order.size(); ++i) {
      const TensorInfo& low = file_.tensors_[order[i - 1]];
      const TensorInfo& high = file_.tensors_[order[i]];
      if (low.offset + low.data.size() <= high.offset) continue;
      return corrupt(fmt::format("tensors '{}' and '{}' overlap at offset {}: download it again",
                                 low.name, high.name, high.offset));
    }
    return {};
  }

  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
  std::uint64_t n_tensors_ = 0;
  std::uint64_t n_metadata_ = 0;
  GgufFile file_;
};

std::optional<std::uint64_t> tensor_bytes(const TensorInfo& info) {
  const tensor::DTypeInfo& dtype = tensor::dtype_info(info.type);
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  std::uint64_t elements = 1;
  for (const std::uint64_t dim : info.dims) {
    if (dim == 0 || dim > kMax / elements) return {};
    elements *= dim;
  }
  const std::uint64_t blocks = elements / dtype.block_elements;
  if (blocks > kMax / dtype.block_bytes) return {};
  return blocks * dtype.block_bytes;
}

std::string TensorInfo::shape_text() const {
  std::string text = "[";
  for (std::uint32_t d = n_dims; d-- > 0;) {
    text += std::to_string(dims[d]);
    text += d == 0 ? "]" : ", ";
  }
  return text;
}

Result<GgufFile> GgufFile::parse(std::span<const std::byte> bytes, std::string name) {
  return GgufParser(bytes, std::move(name)).run();
}

Result<GgufFile> GgufFile::parse_header(std::span<const std::byte> bytes, std::string name) {
  return GgufParser(bytes, std::move(name)).run_header();
}

Result<GgufFile> GgufFile::open(const std::filesystem::path& path) {
  HEARTH_TRY(GgufFile file, open_alone(path));
  HEARTH_TRY(const std::uint32_t n_files, file.get_u32("split.count", 1U));
  if (n_files > 1) HEARTH_TRY_VOID(file.open_rest(path, n_files));
  return file;
}

Result<GgufFile> GgufFile::open_alone(const std::filesystem::path& path) {
  HEARTH_TRY(MappedFile mapped, MappedFile::open(path));
  HEARTH_TRY(GgufFile file, parse(mapped.bytes(), path.string()));
  file.file_ = std::move(mapped);
  return file;
}

const Value* GgufFile::find(std::string_view key) const {
  const auto key_of = [this](std::uint32_t i) { return metadata_[i].key; };
  const auto at = std::ranges::lower_bound(metadata_by_key_, key, {}, key_of);
  if (at == metadata_by_key_.end() || metadata_[*at].key != key) return nullptr;
  return &metadata_[*at].value;
}

const TensorInfo* GgufFile::find_tensor(std::string_view name) const {
  const auto name_of = [this](std::uint32_t i) { return tensors_[i].name; };
  const auto at = std::ranges::lower_bound(tensors_by_name_, name, {}, name_of);
  if (at == tensors_by_name_.end() || tensors_[*at].name != name) return nullptr;
  return &tensors_[*at];
}

namespace {

// The common part of the getters: `convert` gives the value or nothing; `wanted` names its kind.
template <class T, class Convert>
Result<T> get(const GgufFile& file, std::string_view key, const std::optional<T>& fallback,
              std::string_view wanted, Convert convert) {
  const Value* const value = file.find(key);
  if (value == nullptr) {
    if (fallback) return *fallback;
    return fail(Code::kCorrupt,
                fmt::format("'{}' lacks the key '{}': convert the model again", file.name(), key));
  }
  if (const std::optional<T> converted = convert(*value)) return *converted;
  return fail(Code::kCorrupt,
              fmt::format("'{}': key '{}' holds no {} (its type is {}): convert the model again",
                          file.name(), key, wanted, value_type_name(value->type())));
}

}  // namespace

Result<std::uint32_t> GgufFile::get_u32(std::string_view key,
                                        std::optional<std::uint32_t> fallback) const {
  return get<std::uint32_t>(*this, key, fallback, "integer from 0 to 4294967295",
                            [](const Value& value) -> std::optional<std::uint32_t> {
                              const auto number = value.as_u64();
                              if (!number || *number > 0xFFFF'FFFFU) return {};
                              return static_cast<std::uint32_t>(*number);
                            });
}

Result<float> GgufFile::get_f32(std::string_view key, std::optional<float> fallback) const {
  return get<float>(*this, key, fallback, "finite number",
                    [](const Value& value) -> std::optional<float> {
                      const auto number = value.as_f64();
                      constexpr double kMax = std::numeric_limits<float>::max();
                      if (!number || !(*number >= -kMax && *number <= kMax)) return {};
                      return static_cast<float>(*number);
                    });
}

Result<bool> GgufFile::get_bool(std::string_view key, std::optional<bool> fallback) const {
  return get<bool>(*this, key, fallback, "boolean", [](const Value& v) { return v.as_bool(); });
}

Result<std::string_view> GgufFile::get_string(std::string_view key,
                                              std::optional<std::string_view> fallback) const {
  return get<std::string_view>(*this, key, fallback, "string",
                               [](const Value& v) { return v.as_string(); });
}

Result<StringRange> GgufFile::get_strings(std::string_view key) const {
  return get<StringRange>(*this, key, std::nullopt, "array of strings",
                          [](const Value& v) { return v.as_strings(); });
}

}  // namespace hearth::gguf
