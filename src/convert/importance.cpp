#include "convert/importance.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

#include "base/file.h"
#include "gguf/gguf_file.h"

namespace hearth::convert {
namespace {

using gguf::TensorInfo;

std::unexpected<Error> corrupt(const std::string& name, std::string_view what) {
  return fail(Code::kCorrupt,
              fmt::format("'{}': {}: make the importance matrix again", name, what));
}

// Sums over `count` calls to means.  A matrix that nothing ever reached counts evenly.
Result<> to_means(std::span<float> values, double count, const std::string& name,
                  std::string_view entry) {
  for (float& value : values) {
    if (!std::isfinite(value) || value < 0) {
      return corrupt(name, fmt::format("entry '{}' holds {}, numbers from 0 are needed",
                                       entry.substr(0, 100), value));
    }
    value = count >= 1 ? static_cast<float>(static_cast<double>(value) / count) : 1.0F;
  }
  return {};
}

// Reads a .dat file front to back.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::optional<std::int32_t> number() {
    std::int32_t value = 0;
    const auto from = take(sizeof value);
    if (!from) return std::nullopt;
    std::memcpy(&value, from->data(), sizeof value);
    return value;
  }
  std::optional<std::span<const std::byte>> take(std::size_t n) {
    if (n > bytes_.size()) return std::nullopt;
    const auto part = bytes_.first(n);
    bytes_ = bytes_.subspan(n);
    return part;
  }

 private:
  std::span<const std::byte> bytes_;
};

Result<> read_dat_entry(Cursor& cursor, int index, const std::string& name, Importance& out) {
  const auto cut_off = [&] {
    return corrupt(name, fmt::format("the file ends within entry {}", index));
  };
  const auto length = cursor.number();
  if (!length) return cut_off();
  if (*length < 1 || static_cast<std::uint32_t>(*length) > kImportanceNameBytesMax) {
    return corrupt(name, fmt::format("entry {} has a name of {} bytes, 1 to {} allowed", index,
                                     *length, kImportanceNameBytesMax));
  }
  const auto text = cursor.take(static_cast<std::size_t>(*length));
  const auto n_calls = cursor.number();
  const auto n_values = cursor.number();
  if (!text || !n_calls || !n_values) return cut_off();
  const std::string entry(reinterpret_cast<const char*>(text->data()), text->size());
  if (*n_values < 1 || static_cast<std::uint64_t>(*n_values) > kImportanceValuesMax) {
    return corrupt(name, fmt::format("entry '{}' has {} values, 1 to {} allowed",
                                     entry.substr(0, 100), *n_values, kImportanceValuesMax));
  }
  const auto data = cursor.take(static_cast<std::size_t>(*n_values) * sizeof(float));
  if (!data) return cut_off();
  std::vector<float> values(static_cast<std::size_t>(*n_values));
  std::memcpy(values.data(), data->data(), data->size());
  HEARTH_TRY_VOID(to_means(values, *n_calls, name, entry));
  if (out.inputs.emplace(entry, std::move(values)).second) return {};
  return corrupt(name, fmt::format("entry '{}' is there twice", entry.substr(0, 100)));
}

Result<Importance> parse_dat(std::span<const std::byte> bytes, const std::string& name) {
  Cursor cursor(bytes);
  const auto n_entries = cursor.number();
  if (!n_entries || *n_entries < 1 ||
      static_cast<std::uint32_t>(*n_entries) > kImportanceEntriesMax) {
    return fail(Code::kCorrupt,
                fmt::format("'{}' is no importance matrix: give the .gguf or .dat file that "
                            "llama-imatrix wrote",
                            name));
  }
  Importance importance;
  for (int i = 0; i < *n_entries; ++i) {
    HEARTH_TRY_VOID(read_dat_entry(cursor, i, name, importance));
  }
  return importance;
}

Result<std::vector<float>> floats_of(const TensorInfo& info, const std::string& name) {
  if (info.type != tensor::DType::kF32) {
    return corrupt(name, fmt::format("tensor '{}' is no F32", info.name));
  }
  if (info.n_elements() > kImportanceValuesMax) {
    return corrupt(name, fmt::format("tensor '{}' has {} values, at most {} allowed", info.name,
                                     info.n_elements(), kImportanceValuesMax));
  }
  std::vector<float> values(info.n_elements());
  std::memcpy(values.data(), info.data.data(), info.data.size());
  return values;
}

Result<> read_gguf_entry(const gguf::GgufFile& file, const TensorInfo& sums_info,
                         const std::string& name, Importance& out) {
  constexpr std::string_view kSums = ".in_sum2";
  const std::string entry(sums_info.name.substr(0, sums_info.name.size() - kSums.size()));
  const TensorInfo* const counts_info = file.find_tensor(entry + ".counts");
  if (counts_info == nullptr) {
    return corrupt(name, fmt::format("tensor '{}.counts' is missing", entry));
  }
  HEARTH_TRY(std::vector<float> values, floats_of(sums_info, name));
  HEARTH_TRY(const std::vector<float> counts, floats_of(*counts_info, name));
  if (counts.size() > values.size() || values.size() % counts.size() != 0) {
    return corrupt(name, fmt::format("'{}' has {} sums and {} counts, which don't divide", entry,
                                     values.size(), counts.size()));
  }
  const std::size_t cols = values.size() / counts.size();
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const double count = std::isfinite(counts[i]) ? static_cast<double>(counts[i]) : 0.0;
    HEARTH_TRY_VOID(to_means(std::span(values).subspan(i * cols, cols), count, name, entry));
  }
  out.inputs.emplace(entry, std::move(values));
  return {};
}

Result<Importance> parse_gguf(std::span<const std::byte> bytes, const std::string& name) {
  HEARTH_TRY(const gguf::GgufFile file, gguf::GgufFile::parse(bytes, name));
  HEARTH_TRY(const std::string_view type, file.get_string("general.type", "model"));
  Importance importance;
  for (const TensorInfo& info : file.tensors()) {
    if (!info.name.ends_with(".in_sum2")) continue;
    HEARTH_TRY_VOID(read_gguf_entry(file, info, name, importance));
  }
  if (!importance.inputs.empty()) return importance;
  return fail(Code::kInvalidArgument,
              fmt::format("'{}' is no importance matrix (its type is '{}'): give the file that "
                          "llama-imatrix wrote",
                          name, type.substr(0, 64)));
}

}  // namespace

Result<Importance> parse_importance(std::span<const std::byte> bytes, const std::string& name) {
  const bool is_gguf = bytes.size() >= 4 && std::memcmp(bytes.data(), "GGUF", 4) == 0;
  return is_gguf ? parse_gguf(bytes, name) : parse_dat(bytes, name);
}

Result<Importance> read_importance(const std::filesystem::path& path) {
  HEARTH_TRY(const MappedFile file, MappedFile::open(path));
  return parse_importance(file.bytes(), path.string());
}

}  // namespace hearth::convert
