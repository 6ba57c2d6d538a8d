#include "convert/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "base/file.h"
#include "convert/json_reader.h"

namespace hearth::convert {
namespace {

constexpr std::size_t kIndexBytesMax = std::size_t{64} << 20;

struct DtypeRow {
  std::string_view name;
  std::uint32_t bytes;
  std::optional<tensor::DType> type;
};
constexpr DtypeRow kDtypes[] = {
    {"F32", 4, tensor::DType::kF32},
    {"F16", 2, tensor::DType::kF16},
    {"BF16", 2, tensor::DType::kBF16},
    {"F64", 8, {}},
    {"I64", 8, {}},
    {"U64", 8, {}},
    {"I32", 4, {}},
    {"U32", 4, {}},
    {"I16", 2, {}},
    {"U16", 2, {}},
    {"I8", 1, {}},
    {"U8", 1, {}},
    {"BOOL", 1, {}},
    {"F8_E4M3", 1, {}},
    {"F8_E5M2", 1, {}},
    {"F8_E8M0", 1, {}},
};

const DtypeRow* find_dtype(std::string_view name) {
  const auto row = std::ranges::find(kDtypes, name, &DtypeRow::name);
  return row == std::end(kDtypes) ? nullptr : row;
}

class Parser {
 public:
  Parser(std::span<const std::byte> bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  Result<std::vector<Safetensor>> run() {
    HEARTH_TRY(const Json header, read_header());
    if (header.size() > kSafetensorsTensorsMax) {
      return corrupt(fmt::format("{} tensors are claimed, at most {} allowed", header.size(),
                                 kSafetensorsTensorsMax));
    }
    std::vector<Safetensor> tensors;
    for (const auto& [tensor_name, entry] : header.items()) {
      if (tensor_name == "__metadata__") continue;
      HEARTH_TRY(Safetensor tensor, read_tensor(tensor_name, entry));
      tensors.push_back(std::move(tensor));
    }
    HEARTH_TRY_VOID(check_overlap(tensors));
    return tensors;
  }

 private:
  std::unexpected<Error> corrupt(std::string_view what) const {
    return fail(Code::kCorrupt, fmt::format("'{}': {}: download it again", name_, what));
  }

  Result<Json> read_header() {
    std::uint64_t n = 0;
    if (bytes_.size() < sizeof n) return corrupt("the file is too short to be safetensors");
    std::memcpy(&n, bytes_.data(), sizeof n);
    const std::uint64_t room = bytes_.size() - sizeof n;
    if (n > kSafetensorsHeaderBytesMax || n > room) {
      return corrupt(
          fmt::format("a header of {} bytes is claimed; the file has {} and at most {} "
                      "are read",
                      n, room, kSafetensorsHeaderBytesMax));
    }
    const auto* const text = reinterpret_cast<const char*>(bytes_.data() + sizeof n);
    data_ = bytes_.subspan(sizeof n + n);
    Json header = Json::parse(text, text + n, nullptr, /*allow_exceptions=*/false);
    if (header.is_discarded() || !header.is_object())
      return corrupt("its header is no JSON object");
    return header;
  }

  Result<Safetensor> read_tensor(const std::string& tensor_name, const Json& entry) const {
    const auto refuse = [&](std::string_view what) {
      return corrupt(fmt::format("tensor '{}' {}", tensor_name.substr(0, 200), what));
    };
    Safetensor tensor{.name = tensor_name};
    tensor.dtype = as_text(member(entry, "dtype")).value_or("");
    const DtypeRow* const dtype = find_dtype(tensor.dtype);
    if (dtype == nullptr) {
      return refuse(fmt::format("has the unknown type '{}'", tensor.dtype.substr(0, 40)));
    }
    const Json::array_t& dims = elements(member(entry, "shape"));
    if (dims.size() > kSafetensorsDimsMax) {
      return refuse(
          fmt::format("has {} dimensions, at most {} allowed", dims.size(), kSafetensorsDimsMax));
    }
    std::uint64_t bytes = dtype->bytes;
    for (const Json& value : dims) {
      const auto dim = as_count(&value);
      if (!dim || __builtin_mul_overflow(bytes, *dim, &bytes)) return refuse("has no valid shape");
      tensor.shape.push_back(*dim);
    }
    const Json::array_t& range = elements(member(entry, "data_offsets"));
    const auto begin = range.size() == 2 ? as_count(&range[0]) : std::nullopt;
    const auto end = range.size() == 2 ? as_count(&range[1]) : std::nullopt;
    if (!begin || !end || *begin > *end || *end > data_.size()) {
      return refuse(fmt::format("lies outside the file's {} bytes of data", data_.size()));
    }
    if (*end - *begin != bytes) {
      return refuse(fmt::format("has {} bytes of data, its shape needs {}", *end - *begin, bytes));
    }
    tensor.data = data_.subspan(*begin, bytes);
    return tensor;
  }

  // Also puts the tensors in the order of their data.
  Result<> check_overlap(std::vector<Safetensor>& tensors) const {
    std::ranges::stable_sort(tensors, {},
                             [](const Safetensor& tensor) { return tensor.data.data(); });
    const Safetensor* last = nullptr;
    for (const Safetensor& tensor : tensors) {
      if (tensor.data.empty()) continue;
      if (last != nullptr && tensor.data.data() < last->data.data() + last->data.size()) {
        return corrupt(fmt::format("tensors '{}' and '{}' overlap", last->name.substr(0, 200),
                                   tensor.name.substr(0, 200)));
      }
      last = &tensor;
    }
    return {};
  }

  std::span<const std::byte> bytes_, data_;
  const std::string& name_;
};

// A name of a file in the same folder, and nothing else.
bool is_plain_name(const std::string& name) {
  return name.ends_with(".safetensors") && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

// Which files there are and, where an index says so, which tensors each must have.
using Shards = std::map<std::string, std::set<std::string>>;

Result<Shards> read_index(const std::filesystem::path& path) {
  HEARTH_TRY(const Json index, read_json(path, kIndexBytesMax));
  const Json* const map = member(index, "weight_map");
  if (map == nullptr || !map->is_object()) {
    return fail(Code::kCorrupt,
                fmt::format("'{}' has no 'weight_map': download it again", path.string()));
  }
  Shards shards;
  for (const auto& [tensor, file] : map->items()) {
    const std::string name = as_text(&file).value_or("");
    if (!is_plain_name(name)) {
      return fail(Code::kCorrupt,
                  fmt::format("'{}': tensor '{}' lies in '{}', which is no name of a "
                              "safetensors file beside it: download it again",
                              path.string(), tensor.substr(0, 200), name.substr(0, 200)));
    }
    shards[name].insert(tensor);
  }
  if (!shards.empty() && shards.size() <= kSafetensorsFilesMax) return shards;
  return fail(Code::kCorrupt, fmt::format("'{}' lists {} files, 1 to {} allowed", path.string(),
                                          shards.size(), kSafetensorsFilesMax));
}

Result<Shards> find_shards(const std::filesystem::path& folder) {
  std::error_code error;
  const auto index = folder / "model.safetensors.index.json";
  if (std::filesystem::exists(index, error)) return read_index(index);
  if (std::filesystem::exists(folder / "model.safetensors", error)) {
    return Shards{{"model.safetensors", {}}};
  }
  return fail(
      Code::kNotFound,
      fmt::format("'{}' has neither model.safetensors nor model.safetensors.index.json: give a "
                  "folder with a model in safetensors, or a GGUF file",
                  folder.string()));
}

}  // namespace

std::optional<tensor::DType> float_type(const Safetensor& tensor) {
  const DtypeRow* const row = find_dtype(tensor.dtype);
  return row == nullptr ? std::nullopt : row->type;
}

Result<std::vector<Safetensor>> parse_safetensors(std::span<const std::byte> bytes,
                                                  const std::string& name) {
  return Parser(bytes, name).run();
}

Result<SafetensorsFolder> open_safetensors(const std::filesystem::path& folder) {
  HEARTH_TRY(const Shards shards, find_shards(folder));
  SafetensorsFolder found;
  std::set<std::string> names;
  for (const auto& [file_name, expected] : shards) {
    HEARTH_TRY(MappedFile mapped, MappedFile::open(folder / file_name));
    const auto file = std::make_shared<const MappedFile>(std::move(mapped));
    const std::string path = file->path().string();
    HEARTH_TRY(std::vector<Safetensor> tensors, parse_safetensors(file->bytes(), path));
    std::size_t n_expected = 0;
    for (Safetensor& tensor : tensors) {
      n_expected += expected.contains(tensor.name) ? 1 : 0;
      if (!names.insert(tensor.name).second) {
        return fail(Code::kCorrupt, fmt::format("'{}': tensor '{}' is in two files: download the "
                                                "model again",
                                                path, tensor.name.substr(0, 200)));
      }
      found.tensors.push_back(std::move(tensor));
    }
    if (n_expected < expected.size()) {
      return fail(Code::kCorrupt,
                  fmt::format("'{}' lacks {} of the {} tensors that the index claims: "
                              "download it again",
                              path, expected.size() - n_expected, expected.size()));
    }
    found.files.push_back(file);
  }
  return found;
}

}  // namespace hearth::convert
