// Loading, in the order that makes the cheap refusals come first: header, architecture,
// hyperparameters, memory, shapes, and only then the vocabulary and the template, which
// take most of the time.  No page of a weight is touched before the memory check.
#include "model/model.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "base/digest.h"
#include "base/log.h"
#include "gguf/manifest.h"
#include "model/config.h"
#include "model/loaded_model.h"
#include "model/memory.h"
#include "model/rope.h"
#include "model/vocab.h"

namespace hearth::model {
namespace {

std::uint64_t total_bytes(const gguf::GgufFile& file) {
  std::uint64_t bytes = 0;
  for (const gguf::TensorInfo& info : file.tensors()) bytes += info.data.size();
  return bytes;
}

Result<> check_vocabulary(const gguf::GgufFile& file, const ModelConfig& config,
                          const text::Tokenizer& tokenizer) {
  if (tokenizer.n_vocab() == config.n_vocab) return {};
  return fail(Code::kCorrupt,
              fmt::format("'{}': the vocabulary has {} tokens and tensor 'token_embd.weight' {} "
                          "rows: get the model from its source again",
                          file.name(), tokenizer.n_vocab(), config.n_vocab));
}

using tensor::MatView;

std::vector<tensor::DType> types_of(const Weights& weights) {
  std::vector<tensor::DType> types{weights.output.type};
  if (weights.inputs_projection.data != nullptr) types.push_back(weights.inputs_projection.type);
  for (const LayerWeights& layer : weights.layers) {
    for (const MatView& matrix : matrices_of(layer)) types.push_back(matrix.type);
  }
  std::ranges::sort(types);
  types.erase(std::ranges::unique(types).begin(), types.end());
  return types;
}

// Of one file, whose weights are not read for it unless they are few.
std::uint64_t identity_of_part(const gguf::GgufFile& file) {
  constexpr std::size_t kWholeBytesMax = std::size_t{8} << 20;
  if (file.bytes().size() <= kWholeBytesMax) return hash64(file.bytes());
  const std::uint64_t hash = hash64(file.header(), file.bytes().size());
  struct stat info {};
  if (::stat(file.name().c_str(), &info) != 0) return hash;
  // Which file it is, and when it was last written.
  const std::array<std::uint64_t, 4> facts{info.st_dev, info.st_ino,
                                           static_cast<std::uint64_t>(info.st_mtim.tv_sec),
                                           static_cast<std::uint64_t>(info.st_mtim.tv_nsec)};
  return hash64(std::as_bytes(std::span(facts)), hash);
}

}  // namespace

std::uint64_t identity_of(const gguf::GgufFile& file) {
  if (file.manifest() != nullptr) return file.manifest()->identity();
  std::uint64_t identity = identity_of_part(file);
  for (const auto& next : file.rest()) {
    const std::uint64_t part = identity_of_part(*next);
    identity = hash64(std::as_bytes(std::span(&part, 1)), identity);
  }
  return identity;
}

Result<> LoadedModel::use_classifier() {
  if (weights_.classifier.data == nullptr) {
    return fail(Code::kInvalidArgument,
                fmt::format("the model '{}' has no classifier and ranks no documents: name another, "
                            "or convert it again by a llama.cpp that knows Qwen3-Reranker",
                            config_.name));
  }
  weights_.output = weights_.classifier;
  config_.n_logits = weights_.classifier.rows;
  return {};
}

void LoadedModel::make_ropes() {
  ropes_.push_back(make_rope(config_.rope, config_.rope_dim, weights_.rope_factors));
  if (config_.sliding_rope_theta > 0) {
    ropes_.push_back(
        make_rope({.theta = config_.sliding_rope_theta}, config_.sliding_rope_dim, nullptr));
  }
}

Result<> LoadedModel::read_template() {
  chat_template_ = text::ChatTemplate::chatml();
  if (file_.find("tokenizer.chat_template") == nullptr) return {};
  HEARTH_TRY(const std::string_view source, file_.get_string("tokenizer.chat_template"));
  auto compiled = text::ChatTemplate::compile(std::string(source));
  if (compiled) {
    chat_template_ = *std::move(compiled);
  } else {
    log_warn("model", fmt::format("'{}': its chat template does not compile ({}); ChatML is used",
                                  file_.name(), compiled.error().message));
  }
  return {};
}

Result<> LoadedModel::read_unsure_token() {
  constexpr std::string_view kKey = "hearth.unsure_token_id";
  if (file_.find(kKey) == nullptr) return {};
  HEARTH_TRY(const std::uint32_t id, file_.get_u32(kKey));
  if (id >= config_.n_vocab) {
    return fail(Code::kCorrupt, fmt::format("'{}': key '{}' is {}, the vocabulary has {} tokens",
                                            file_.name(), kKey, id, config_.n_vocab));
  }
  unsure_token_ = static_cast<text::TokenId>(id);
  return {};
}

Result<std::shared_ptr<const Model>> LoadedModel::create(gguf::GgufFile file,
                                                         const LoadOptions& options) {
  const std::shared_ptr<LoadedModel> model(new LoadedModel(std::move(file)));
  const gguf::GgufFile& source = model->file_;
  HEARTH_TRY(model->architecture_, architecture_of(source));
  HEARTH_TRY(model->config_, read_config(source, *model->architecture_));
  model->weight_bytes_ = total_bytes(source);
  model->kv_type_ = options.kv_type;
  HEARTH_TRY_VOID(check_memory(source.name(), model->weight_bytes_, options.memory_bytes_max));

  HEARTH_TRY(model->weights_, bind_weights(source, *model->architecture_, model->config_));
  if (options.as_ranker) HEARTH_TRY_VOID(model->use_classifier());
  model->weight_types_ = types_of(model->weights_);
  model->make_ropes();

  HEARTH_TRY(model->tokenizer_, load_tokenizer(source, options.image_folder));
  HEARTH_TRY_VOID(check_vocabulary(source, model->config_, *model->tokenizer_));
  HEARTH_TRY_VOID(model->read_template());
  HEARTH_TRY_VOID(model->read_unsure_token());
  HEARTH_TRY(model->relays_advice_, source.get_bool("hearth.relays_advice", false));
  HEARTH_TRY(const float temperature, source.get_f32("general.sampling.temp", -1.0F));
  if (temperature >= 0 && temperature <= 2) model->preferred_temperature_ = temperature;
  model->identity_ = identity_of(source);
  HEARTH_TRY_VOID(model->bring_in(options));
  return model;
}

// The weights' pages: a copy of them, a stream that begins when somebody wants it, or all at once.
Result<> LoadedModel::bring_in(const LoadOptions& options) {
  const bool is_streamed = !options.pack && options.reader != nullptr && !file_.parts().empty();
  if (!is_streamed) HEARTH_TRY_VOID(file_.restore());
  if (options.pack) {
    ThreadPool pool(0);
    return packed_.take(weights_, pool);
  }
  if (is_streamed) {
    stream_ = make_weight_stream(file_, weights_, options.reader);
    return {};
  }
  for (const auto& range : mapped_ranges()) prefault(range);
  return {};
}

Result<std::shared_ptr<const Model>> Model::load(const std::filesystem::path& path,
                                                 const LoadOptions& options) {
  HEARTH_TRY(gguf::GgufFile file, gguf::GgufFile::open_model(path));
  return LoadedModel::create(std::move(file), options);
}

KvLayout Model::kv_layout() const {
  KvLayout layout{.type = kv_type_};
  for (const LayerPlan& plan : config_.layers) {
    if (plan.borrows_kv) continue;
    if (plan.kind == LayerKind::kConvolution) {
      ++layout.n_memories;
      layout.memory_width = config_.d_model;
    } else if (plan.kind == LayerKind::kDeltaNet) {
      layout.state_bytes += config_.delta.state_floats() * sizeof(float);
    } else if (plan.kind == LayerKind::kMamba) {
      layout.state_bytes += config_.mamba.state_floats() * sizeof(float);
    } else if (plan.kind == LayerKind::kNothing) {
      continue;
    } else if (layout.n_layers == 0 ||
               (layout.n_kv_heads == plan.n_kv_heads && layout.head_dim == plan.head_dim)) {
      ++layout.n_layers;
      layout.n_kv_heads = plan.n_kv_heads;
      layout.head_dim = plan.head_dim;
    } else {
      ++layout.n_other_layers;
      layout.n_other_kv_heads = plan.n_kv_heads;
      layout.other_head_dim = plan.head_dim;
    }
  }
  return layout;
}

}  // namespace hearth::model
