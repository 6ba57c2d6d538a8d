#include "store/adapters.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/ascii.h"
#include "base/file.h"
#include "store/catalogue.h"

namespace hearth::store {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::size_t kConfigBytesMax = std::size_t{1} << 20;
constexpr std::size_t kNamesInErrorMax = 20;

std::string text_of(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::string names_of(std::span<const CatalogueEntry> adapters) {
  std::vector<std::string_view> names;
  for (const CatalogueEntry& entry : adapters) {
    if (names.size() < kNamesInErrorMax) names.push_back(entry.name);
  }
  std::string list = fmt::format("{}", fmt::join(names, ", "));
  if (adapters.size() > names.size()) {
    list += fmt::format(" and {} more", adapters.size() - names.size());
  }
  return list;
}

Result<CatalogueEntry> usable(const CatalogueEntry& entry) {
  if (entry.problem.empty()) return entry;
  return fail(Code::kUnsupported,
              fmt::format("adapter '{}' can't be used: {}", entry.name, entry.problem));
}

// A file or folder that no scan has listed.
CatalogueEntry entry_at(const fs::path& path, bool is_folder) {
  CatalogueEntry entry{.path = path, .source = "path"};
  entry.name = adapter_name((is_folder ? path : path.stem()).filename().string());
  const Head head = is_folder ? read_peft_head(path) : read_head(path);
  const auto key = file_key(is_folder ? path / kPeftWeights : path);
  entry.bytes = key ? key->bytes : 0;
  entry.architecture = head.architecture;
  entry.quantization = head.quantization;
  entry.problem = head.problem;
  if (entry.problem.empty() && !head.is_adapter) {
    entry.problem = fmt::format("'{}' is a model, not an adapter", path.string());
  }
  return entry;
}

}  // namespace

Shape adapter_shape(const gguf::GgufFile& file) {
  constexpr std::string_view kReadModel[] = {"attn_q.", "attn_k.",   "attn_v.", "attn_qkv.",
                                             "ffn_up.", "ffn_gate."};
  Shape shape;
  for (const gguf::TensorInfo& info : file.tensors()) {
    if (!info.name.starts_with("blk.") || !info.name.ends_with(".lora_a")) continue;
    std::uint32_t layer = 0;
    std::from_chars(info.name.data() + 4, info.name.data() + info.name.size(), layer);
    shape.n_layers = std::max(shape.n_layers, std::min(layer, 1U << 16) + 1);
    const auto cols = static_cast<std::uint32_t>(std::min<std::uint64_t>(info.dims[0], UINT32_MAX));
    const auto is_in_name = [&](std::string_view part) { return info.name.contains(part); };
    if (std::ranges::any_of(kReadModel, is_in_name)) shape.d_model = cols;
    if (is_in_name("ffn_down.")) shape.d_ff = cols;
  }
  return shape;
}

Head read_peft_head(const fs::path& folder) {
  Head head{.is_adapter = true};
  const auto text = read_file(folder / kPeftConfig, kConfigBytesMax);
  if (!text) {
    head.problem = text.error().message;
    return head;
  }
  const json config = json::parse(*text, nullptr, false);
  if (!config.is_object()) {
    head.problem = fmt::format("'{}' is no JSON object", (folder / kPeftConfig).string());
    return head;
  }
  head.base = text_of(config, "base_model_name_or_path");
  head.quantization = "PEFT";
  if (const std::string type = text_of(config, "peft_type"); type != "LORA") {
    head.problem = fmt::format("its type is '{}', only LoRA can be run", type);
  } else if (!file_key(folder / kPeftWeights)) {
    head.problem = fmt::format("there is no '{}': save the adapter in the safetensors format",
                               (folder / kPeftWeights).string());
  }
  return head;
}

std::string adapter_name(std::string_view name) {
  std::string clean(name);
  std::ranges::replace_if(
      clean, [](char c) { return c == '@' || c == '+' || c == ':'; }, '-');
  return clean;
}

bool may_fit(const CatalogueEntry& adapter, const CatalogueEntry& model) {
  const auto agrees = [](std::uint32_t a, std::uint32_t b) { return a == 0 || b == 0 || a == b; };
  if (!adapter.architecture.empty()) {
    return adapter.architecture == model.architecture &&
           agrees(adapter.shape.d_model, model.shape.d_model) &&
           agrees(adapter.shape.d_ff, model.shape.d_ff) &&
           (model.shape.n_layers == 0 || adapter.shape.n_layers <= model.shape.n_layers);
  }
  // "Qwen/Qwen3-0.6B" is the base of "Qwen3-0.6B-Q8_0".
  const std::string base = lower(fs::path(adapter.base).filename().string());
  return !base.empty() && lower(model.name).starts_with(base);
}

Result<CatalogueEntry> find_adapter(std::span<const CatalogueEntry> adapters,
                                    std::string_view name) {
  for (const CatalogueEntry& entry : adapters) {
    if (entry.name == name) return usable(entry);
  }
  std::error_code ignored;
  const fs::path path = name;
  for (const CatalogueEntry& entry : adapters) {
    if (!name.empty() && fs::equivalent(entry.path, path, ignored) && !ignored) return usable(entry);
  }
  if (name.ends_with(".gguf") && fs::is_regular_file(path, ignored)) {
    return usable(entry_at(path, false));
  }
  if (fs::is_regular_file(path / kPeftConfig, ignored)) return usable(entry_at(path, true));

  std::vector<CatalogueEntry> matching;
  for (const CatalogueEntry& entry : adapters) {
    if (!name.empty() && lower(entry.name).starts_with(lower(name))) matching.push_back(entry);
  }
  if (matching.size() == 1) return usable(matching.front());
  if (matching.size() > 1) {
    return fail(Code::kInvalidArgument,
                fmt::format("adapter '{}' is ambiguous: {}", name, names_of(matching)));
  }
  return fail(Code::kNotFound,
              adapters.empty()
                  ? fmt::format("there is no adapter '{}', and no other adapter was found; put "
                                "its file into a folder of [adapters]",
                                name)
                  : fmt::format("there is no adapter '{}'; there are {}", name,
                                names_of(adapters)));
}

}  // namespace hearth::store
