// A folder in Hugging Face's layout as a source.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "convert/hf_config.h"
#include "convert/hf_encoder.h"
#include "convert/hf_tokenizer.h"
#include "convert/model_source.h"
#include "convert/safetensors.h"

namespace hearth::convert {
namespace {

constexpr std::size_t kDimsMax = 3;  // Of a checkpoint's tensor; GGUF adds none but experts.

// Delta nets keep value heads that share a key head together; in GGUF key heads come round in turn.
// Where each of `first` + n_value_heads * `size` rows or columns is stored, those before `first` as
// they are.
std::vector<std::uint32_t> value_head_order(const HfConfig& c, std::uint32_t first,
                                            std::uint32_t size) {
  std::vector<std::uint32_t> order;
  for (std::uint32_t i = 0; i < first; ++i) order.push_back(i);
  for (std::uint32_t head = 0; head < c.n_value_heads; ++head) {
    const std::uint32_t group = c.n_value_heads / c.n_key_heads;
    const std::uint32_t stored = head % c.n_key_heads * group + head / c.n_key_heads;
    for (std::uint32_t i = 0; i < size; ++i) order.push_back(first + stored * size + i);
  }
  return order;
}

// Puts the checkpoint's tensors under their GGUF names.
class TensorCollector {
 public:
  TensorCollector(const HfConfig& config, const std::string& folder)
      : config_(config), folder_(folder) {}

  Result<> add(const Safetensor& stored) {
    HEARTH_TRY(const std::optional<MappedName> mapped, map_name(*config_.family, stored.name));
    if (!mapped) return skip(stored);
    if (mapped->name == "output.weight" && config_.ties_output) return {};
    if (mapped->layer && *mapped->layer >= config_.n_layers) {
      return refuse(Code::kCorrupt, fmt::format("tensor '{}' belongs to none of the {} layers",
                                                stored.name, config_.n_layers));
    }
    HEARTH_TRY(SourceTensor tensor, convert(stored, *mapped));
    if (!mapped->expert) return add_whole(std::move(tensor), stored.name);
    return add_expert(std::move(tensor), *mapped->expert, stored.name);
  }

  // In the order of the layers, what belongs to none first.
  Result<std::vector<SourceTensor>> finish() {
    for (const auto& [name, stack] : experts_) {
      HEARTH_TRY(SourceTensor tensor, stacked(name, stack));
      HEARTH_TRY_VOID(add_whole(std::move(tensor), name));
    }
    HEARTH_TRY_VOID(check_complete());
    std::vector<SourceTensor> tensors;
    for (auto& [key, tensor] : tensors_) tensors.push_back(std::move(tensor));
    return tensors;
  }

  std::size_t n_skipped() const { return n_skipped_; }

 private:
  using Key = std::pair<std::uint32_t, std::string>;  // Layer + 1 (0: none), name.
  using Stack = std::map<std::uint32_t, SourceTensor>;

  std::unexpected<Error> refuse(Code code, std::string_view what) const {
    return fail(code, fmt::format("'{}': {}: download the model again", folder_, what));
  }

  Result<> skip(const Safetensor& stored) {
    if (config_.family->is_encoder) return {};
    if (stored.name.find("rotary_emb") == std::string::npos) ++n_skipped_;
    return {};
  }

  Result<SourceTensor> convert(const Safetensor& stored, const MappedName& mapped) const {
    const auto type = float_type(stored);
    if (!type) {
      return fail(Code::kUnsupported,
                  fmt::format("'{}': tensor '{}' has the type {}, weights are read as F32, F16 or "
                              "BF16: look for the model in one of these",
                              folder_, stored.name, stored.dtype));
    }
    if (stored.shape.empty() || stored.shape.size() > kDimsMax || stored.data.empty()) {
      return refuse(Code::kCorrupt, fmt::format("tensor '{}' has no usable shape", stored.name));
    }
    SourceTensor tensor{.name = mapped.name, .type = *type, .parts = {stored.data}};
    tensor.dims.assign(stored.shape.rbegin(), stored.shape.rend());
    // Convolutions over channels have a dimension of 1.
    if (tensor.dims.size() == 3 && tensor.dims[1] == 1 && mapped.name.find("conv") != std::string::npos) {
      tensor.dims.erase(tensor.dims.begin() + 1);
    }
    const bool is_norm = mapped.name.ends_with("norm.weight") && !mapped.name.ends_with("ssm_norm.weight");
    if (config_.family->norms_lack_one && is_norm) tensor.added = 1.0F;
    tensor.is_negated_exp = mapped.name.ends_with("ssm_a");
    HEARTH_TRY_VOID(order_value_heads(mapped.by_value_head, stored, tensor));
    if (config_.family->pairs_become_adjacent && (mapped.is_query || mapped.is_key)) {
      HEARTH_TRY(tensor.head_rows, head_rows(stored, mapped));
    }
    return tensor;
  }

  Result<> order_value_heads(ByValueHead by, const Safetensor& stored, SourceTensor& tensor) const {
    if (by == ByValueHead::kNothing || config_.n_key_heads == config_.n_value_heads) return {};
    const std::uint32_t size = by == ByValueHead::kRowEach ? 1 : config_.delta_size;
    const std::uint32_t before =
        by == ByValueHead::kLastRows ? 2 * config_.n_key_heads * config_.delta_size : 0;
    const std::uint64_t n = before + std::uint64_t{config_.n_value_heads} * size;
    const bool is_cols = by == ByValueHead::kCols;
    if ((is_cols ? tensor.dims.front() : tensor.dims.back()) != n) {
      return refuse(Code::kCorrupt, fmt::format("tensor '{}' has not the {} {} of {} value heads",
                                                stored.name, n, is_cols ? "columns" : "rows",
                                                config_.n_value_heads));
    }
    (is_cols ? tensor.col_order : tensor.row_order) = value_head_order(config_, before, size);
    return {};
  }

  Result<std::uint32_t> head_rows(const Safetensor& stored, const MappedName& mapped) const {
    const std::uint64_t heads = mapped.is_query ? config_.n_heads : config_.n_kv_heads;
    const std::uint64_t rows = stored.shape[0];
    if (rows % heads == 0 && rows / heads % 2 == 0 && rows / heads <= (1U << 16)) {
      return static_cast<std::uint32_t>(rows / heads);
    }
    return refuse(Code::kCorrupt,
                  fmt::format("tensor '{}' has {} rows, which {} heads cannot share", stored.name,
                              rows, heads));
  }

  Result<> add_whole(SourceTensor tensor, const std::string& stored_name) {
    const std::string name = tensor.name;
    if (tensors_.try_emplace(Key(layer_key(name), name), std::move(tensor)).second) return {};
    return refuse(Code::kCorrupt, fmt::format("tensor '{}' is there twice", stored_name));
  }

  Result<> add_expert(SourceTensor tensor, std::uint32_t expert, const std::string& stored_name) {
    const std::string name = tensor.name;
    if (expert < config_.n_experts && tensor.dims.size() == 2 &&
        experts_[name].try_emplace(expert, std::move(tensor)).second) {
      return {};
    }
    return refuse(Code::kCorrupt, fmt::format("tensor '{}' is no matrix of the {} experts, or is "
                                              "there twice",
                                              stored_name, config_.n_experts));
  }

  Result<SourceTensor> stacked(const std::string& name, const Stack& stack) const {
    SourceTensor tensor = stack.begin()->second;
    tensor.parts.clear();
    for (const auto& [expert, part] : stack) {
      if (part.dims != tensor.dims || part.type != tensor.type) {
        return refuse(Code::kCorrupt,
                      fmt::format("the experts of '{}' differ in shape or type", name));
      }
      tensor.parts.push_back(part.parts[0]);
    }
    if (stack.size() != config_.n_experts) {
      return refuse(Code::kCorrupt, fmt::format("'{}' has {} of {} experts", name, stack.size(),
                                                config_.n_experts));
    }
    tensor.dims.push_back(config_.n_experts);
    return tensor;
  }

  static std::uint32_t layer_key(const std::string& name) {
    if (!name.starts_with("blk.")) return 0;
    return static_cast<std::uint32_t>(std::strtoul(name.c_str() + 4, nullptr, 10)) + 1;
  }

  Result<> check_complete() const {
    const HfNames names = config_.family->names;
    const bool norms_embedding = config_.family->is_encoder || names == HfNames::kLfm2;
    std::vector<std::string> needed = {
        "token_embd.weight", norms_embedding ? "token_embd_norm.weight" : "output_norm.weight"};
    const std::string_view instead =
        names == HfNames::kLfm2 ? "shortconv.out_proj" : "ssm_out";
    for (std::uint32_t i = 0; i < config_.n_layers; ++i) {
      const bool attends = config_.has_attention[i];
      needed.push_back(fmt::format("blk.{}.{}.weight", i, attends ? "attn_output" : instead));
      if (config_.n_experts == 0) needed.push_back(fmt::format("blk.{}.ffn_down.weight", i));
    }
    for (const std::string& name : needed) {
      if (tensors_.contains(Key(layer_key(name), name))) continue;
      return refuse(Code::kCorrupt, fmt::format("it has no tensor for '{}'", name));
    }
    return {};
  }

  const HfConfig& config_;
  const std::string& folder_;
  std::map<Key, SourceTensor> tensors_;
  std::map<std::string, Stack> experts_;
  std::size_t n_skipped_ = 0;
};

void add_computed(ModelSource& source, RopeTensor tensor) {
  const std::vector<float>& values = source.computed.emplace_back(std::move(tensor.values));
  SourceTensor made{.name = std::move(tensor.name), .dims = {values.size()}};
  made.parts = {std::as_bytes(std::span(values))};
  source.tensors.push_back(std::move(made));
}

// The folder's name; that of ".../snapshots/HASH" in Hugging Face's cache says nothing.
std::string model_name(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::path whole = std::filesystem::absolute(folder, error).lexically_normal();
  if (whole.filename().empty()) whole = whole.parent_path();
  if (whole.parent_path().filename() != "snapshots") return whole.filename().string();
  std::string name = whole.parent_path().parent_path().filename().string();
  const std::size_t cut = name.rfind("--");
  return cut == name.npos ? name : name.substr(cut + 2);
}

}  // namespace

Result<ModelSource> open_hf_source(const std::filesystem::path& folder) {
  std::error_code error;
  if (!std::filesystem::exists(folder / "config.json", error)) {
    return fail(Code::kNotFound,
                fmt::format("'{}' has no config.json: give a folder with a model in Hugging Face's "
                            "layout, or a GGUF file",
                            folder.string()));
  }
  HEARTH_TRY(const HfConfig config, read_hf_config(folder));
  HEARTH_TRY(SafetensorsFolder stored, open_safetensors(folder));
  ModelSource source{.name = folder.string(),
                     .architecture = std::string(config.family->architecture),
                     .n_layers = config.n_layers,
                     .metadata = gguf::GgufWriter(),
                     .files = std::move(stored.files)};
  TensorCollector collector(config, source.name);
  for (const Safetensor& tensor : stored.tensors) HEARTH_TRY_VOID(collector.add(tensor));
  HEARTH_TRY(source.tensors, collector.finish());
  if (collector.n_skipped() > 0) {
    source.notes.push_back(fmt::format(
        "{} tensors that are no part of the text model were left out", collector.n_skipped()));
  }

  source.metadata.set_string("general.name", model_name(folder));
  if (config.family->is_encoder) {
    HEARTH_TRY_VOID(write_hf_encoder(folder, config, source.metadata));
  } else {
    HEARTH_TRY(std::vector<RopeTensor> rotations, write_hf_config(config, source.metadata));
    for (RopeTensor& tensor : rotations) add_computed(source, std::move(tensor));
  }
  const auto embedding =
      std::ranges::find(source.tensors, "token_embd.weight", &SourceTensor::name);
  if (embedding->dims.size() != 2 || embedding->dims[1] > (1U << 22)) {
    return fail(Code::kCorrupt, fmt::format("'{}': the embedding is no matrix of at most {} rows",
                                            source.name, 1U << 22));
  }
  const auto n_rows = static_cast<std::uint32_t>(embedding->dims[1]);
  HEARTH_TRY_VOID(write_hf_tokenizer(folder, config.root, n_rows, source.metadata));
  return source;
}

}  // namespace hearth::convert
