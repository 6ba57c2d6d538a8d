#include "store/head.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>
#include <limits>
#include <map>

#include "base/ascii.h"
#include "gguf/gguf_file.h"
#include "gguf/pack_format.h"
#include "store/adapters.h"

namespace hearth::store {
namespace {

// Files of the ecosystem that are GGUF but no language model, by `general.type`.
struct OtherKind {
  std::string_view type;
  std::string_view what;
};
constexpr OtherKind kOtherKinds[] = {
    {"mmproj", "the vision part of another model (a projector), not a language model"},
    {"projector", "the vision part of another model (a projector), not a language model"},
    {"imatrix", "statistics for quantising a model, not a model"},
    {"vocab", "a vocabulary without weights"},
};

constexpr std::size_t kProjector = 0;  // Of the above.

// What the file is instead of a model; empty if it may be one.
std::string_view other_kind(const gguf::GgufFile& file, std::string_view architecture) {
  const std::string_view type = file.get_string("general.type", "").value_or("");
  for (const OtherKind& kind : kOtherKinds) {
    if (type == kind.type) return kind.what;
  }
  if (architecture == "clip") return kOtherKinds[kProjector].what;
  if (file.tensors().empty()) return "a vocabulary without weights";
  return {};
}

Head adapter_head(const gguf::GgufFile& file, Head head) {
  head.is_adapter = true;
  head.shape = adapter_shape(file);
  head.base = file.get_string("general.base_model.0.name", "").value_or("");
  const std::string_view type = file.get_string("adapter.type", "lora").value_or("");
  if (type != "lora") head.problem = fmt::format("its type is '{}', only LoRA can be run", type);
  return head;
}

// Words, and not too many: what a file says of itself is not trusted.
std::vector<std::string> tags_of(const gguf::GgufFile& file) {
  constexpr std::size_t kTagsMax = 32, kTagBytesMax = 64;
  std::vector<std::string> tags;
  const auto strings = file.get_strings("general.tags");
  if (!strings) return tags;
  for (const std::string_view text : *strings) {
    if (tags.size() == kTagsMax) break;
    const bool is_word = !text.empty() && text.size() <= kTagBytesMax &&
                         std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
    if (!is_word) continue;
    tags.push_back(lower(text));
  }
  return tags;
}

std::string dominant_type(const gguf::GgufFile& file) {
  std::map<tensor::DType, std::size_t> bytes_by_type;
  for (const auto& tensor : file.tensors()) bytes_by_type[tensor.type] += tensor.data.size();
  const auto most =
      std::ranges::max_element(bytes_by_type, {}, [](const auto& p) { return p.second; });
  return most == bytes_by_type.end() ? std::string()
                                     : std::string(tensor::dtype_info(most->first).name);
}

std::string problem_of(const gguf::GgufFile& file, std::string_view architecture) {
  if (const auto what = other_kind(file, architecture); !what.empty()) {
    return fmt::format("'{}' is {}", file.name(), what);
  }
  if (architecture.empty()) {
    return fmt::format("'{}' does not say its architecture: convert the model again", file.name());
  }
  for (const auto& tensor : file.tensors()) {
    const auto& info = tensor::dtype_info(tensor.type);
    if (info.computable || tensor.n_dims < 2) continue;
    return fmt::format(
        "'{}' has weights of type {}, which Hearth can't compute with yet: "
        "take a Q4_K_M, Q8_0 or F16 file of this model",
        file.name(), info.name);
  }
  return {};
}

}  // namespace

std::optional<FileKey> file_key(const std::filesystem::path& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  return FileKey{
      info.st_dev, info.st_ino, static_cast<std::uint64_t>(info.st_size),
      static_cast<std::int64_t>(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec};
}

Head read_head(const std::filesystem::path& path) {
  Head head;
  const auto file = gguf::GgufFile::open_model(path);
  if (!file) {
    head.problem = file.error().message;
    return head;
  }
  head.architecture = file->get_string("general.architecture", "").value_or("");
  head.n_context =
      file->get_u32(fmt::format("{}.context_length", head.architecture), 0).value_or(0);
  head.quantization = dominant_type(*file);
  head.tags = tags_of(*file);
  if (file->get_string("general.type", "").value_or("") == "adapter") {
    return adapter_head(*file, std::move(head));
  }
  const auto number = [&](std::string_view key) {
    return file->get_u32(fmt::format("{}.{}", head.architecture, key), 0).value_or(0);
  };
  head.base = file->get_string(gguf::kDeltaOfKey, "").value_or("");
  head.shape = {number("embedding_length"), number("feed_forward_length"), number("block_count")};
  head.problem = problem_of(*file, head.architecture);
  return head;
}

std::string architecture_problem(const std::filesystem::path& path, const Head& head,
                                 std::span<const std::string> supported) {
  if (supported.empty() || std::ranges::find(supported, head.architecture) != supported.end()) {
    return {};
  }
  return fmt::format("'{}': its architecture '{}' is not supported; supported are {}",
                     path.string(), head.architecture, fmt::join(supported, ", "));
}

}  // namespace hearth::store
