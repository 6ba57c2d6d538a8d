// Loading an encoder, and its forward pass.
//
// Texts go through in batches: their tokens lie one after another, every product is one
// product over all of them, and only attention looks at where each begins and ends.  Rows are
// independent everywhere else, and the kernels' results do not depend on the batch, so neither
// does a text's vector.
#include "model/encoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "model/decoder_ranker.h"
#include "model/encoder_weights.h"
#include "model/memory.h"
#include "model/vocab.h"
#include "tensor/vector_ops.h"

namespace hearth::model {
namespace {

using text::TokenId;

// Tokens of a batch beyond its first text: enough for the products to be bound by arithmetic.
constexpr std::size_t kBatchTokensMax = 1024;
// Queries that one attention task answers.
constexpr std::uint32_t kQueriesPerTask = 64;

void layer_norm(const LayerNorm& norm, std::span<float> x, float eps) {
  const auto n = static_cast<float>(x.size());
  float mean = 0;
  for (const float value : x) mean += value;
  mean /= n;
  float variance = 0;
  for (const float value : x) variance += (value - mean) * (value - mean);
  const float scale = 1.0F / std::sqrt(variance / n + eps);
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = (x[i] - mean) * scale * norm.weight[i] + norm.bias[i];
  }
}

// The exact form, by the error function (Hendrycks and Gimpel 2016), as BERT was trained with.
void gelu(std::span<float> x) {
  for (float& value : x) {
    value *= 0.5F * (1.0F + std::erf(value * (1.0F / std::numbers::sqrt2_v<float>)));
  }
}

void normalize(std::vector<float>& x) {
  const float length = std::sqrt(tensor::dot(x.data(), x.data(), x.size()));
  if (length == 0) return;
  for (float& value : x) value /= length;
}

// A text, or two as one.
struct Input {
  std::span<const TokenId> tokens;
  std::size_t n_first = 0;  // Those of type 0.
};

// Some texts on their way through the layers.
class Batch {
 public:
  Batch(const EncoderWeights& weights, const EncoderConfig& config, ThreadPool& pool)
      : weights_(weights), config_(config), pool_(pool) {}

  void run(std::span<const Input> texts) {
    embed(texts);
    for (const EncoderLayer& layer : weights_.layers) {
      attend(layer);
      feed_forward(layer);
    }
  }

  // [d_model] of text `index`.
  std::vector<float> pooled(std::size_t index) const {
    const std::uint32_t first = starts_[index], end = starts_[index + 1];
    std::vector<float> out;
    if (config_.pooling == Pooling::kMean) {
      out.assign(config_.d_model, 0.0F);
      for (std::uint32_t t = first; t < end; ++t) tensor::add(row(x_, t), out.size(), out.data());
    } else {
      const float* const state = row(x_, config_.pooling == Pooling::kFirst ? first : end - 1);
      out.assign(state, state + config_.d_model);
    }
    normalize(out);  // Of a mean, its sum's direction is all that counts.
    return out;
  }

  // The classifier's number for text `index`.
  float score(std::size_t index) {
    const float* const state = row(x_, starts_[index]);
    std::vector<float> hidden(state, state + config_.d_model);
    if (weights_.classifier.weight.data != nullptr) {
      hidden = apply(weights_.classifier, hidden);
      for (float& value : hidden) value = std::tanh(value);
    }
    return apply(weights_.score, hidden).front();
  }

 private:
  // A head's queries of one text, or some of them.
  struct Task {
    std::uint32_t first, end;        // Rows of the text.
    std::uint32_t query, query_end;  // Rows of the queries.
  };

  const float* row(const std::vector<float>& x, std::uint32_t t) const {
    return x.data() + std::size_t{t} * config_.d_model;
  }
  std::uint32_t n_tokens() const { return starts_.back(); }

  // W x + b of one row.
  std::vector<float> apply(const Linear& linear, const std::vector<float>& x) {
    input_.assign(x.data(), x.size(), 1, static_cast<std::uint32_t>(x.size()),
                  std::span(&linear.weight.type, 1), pool_);
    std::vector<float> out(linear.weight.rows);
    tensor::matmul(linear.weight, input_, out.data(), out.size(), pool_);
    tensor::add(linear.bias, out.size(), out.data());
    return out;
  }

  void embed(std::span<const Input> texts) {
    const std::uint32_t d = config_.d_model;
    std::vector<float> types[2] = {std::vector<float>(d), std::vector<float>(d)}, part(d);
    tensor::dequantize_row(weights_.types, 0, types[0].data());
    tensor::dequantize_row(weights_.types, std::min(1U, weights_.types.rows - 1), types[1].data());
    for (const Input& text : texts) {
      for (std::uint32_t position = 0; position < text.tokens.size(); ++position) {
        const std::size_t at = x_.size();
        const std::vector<float>& type = types[position < text.n_first ? 0 : 1];
        x_.insert(x_.end(), type.begin(), type.end());
        tensor::dequantize_row(weights_.tokens, static_cast<std::uint32_t>(text.tokens[position]),
                               part.data());
        tensor::add(part.data(), d, x_.data() + at);
        tensor::dequantize_row(weights_.positions, position, part.data());
        tensor::add(part.data(), d, x_.data() + at);
      }
      plan_attention(static_cast<std::uint32_t>(text.tokens.size()));
    }
    norm_rows(weights_.embedding_norm);
  }

  void plan_attention(std::uint32_t n) {
    const std::uint32_t first = starts_.back();
    for (std::uint32_t query = 0; query < n; query += kQueriesPerTask) {
      tasks_.push_back({first, first + n, first + query,
                        first + std::min(query + kQueriesPerTask, n)});
    }
    starts_.push_back(first + n);
  }

  // out [n_tokens, rows] = x W^T + b, of the input that was assigned last.
  void product(const Linear& linear, std::vector<float>& out) {
    const std::uint32_t rows = linear.weight.rows;
    out.resize(std::size_t{n_tokens()} * rows);
    tensor::matmul(linear.weight, input_, out.data(), rows, pool_);
    pool_.run(n_tokens(), [&](std::uint32_t t) {
      tensor::add(linear.bias, rows, out.data() + std::size_t{t} * rows);
    });
  }

  void assign(const std::vector<float>& x, std::uint32_t cols,
              std::initializer_list<const Linear*> readers) {
    std::vector<tensor::DType> types;
    for (const Linear* const reader : readers) types.push_back(reader->weight.type);
    input_.assign(x.data(), cols, n_tokens(), cols, types, pool_);
  }

  void attend(const EncoderLayer& layer) {
    assign(x_, config_.d_model, {&layer.q, &layer.k, &layer.v});
    product(layer.q, q_);
    product(layer.k, k_);
    product(layer.v, v_);
    mixed_.assign(x_.size(), 0.0F);
    const auto n_tasks = static_cast<std::uint32_t>(tasks_.size()) * config_.n_heads;
    pool_.run(n_tasks, [&](std::uint32_t index) {
      attend_head(tasks_[index / config_.n_heads], index % config_.n_heads * config_.head_dim);
    });
    assign(mixed_, config_.d_model, {&layer.attn_out});
    product(layer.attn_out, out_);
    add_and_norm(layer.attn_norm);
  }

  // softmax(Q K^T / sqrt(head_dim)) V over the columns [at, at + head_dim).
  void attend_head(const Task& task, std::uint32_t at) {
    const std::size_t n = config_.head_dim;
    const float scale = 1.0F / std::sqrt(static_cast<float>(n));
    std::vector<float> scores(task.end - task.first);
    for (std::uint32_t query = task.query; query < task.query_end; ++query) {
      for (std::uint32_t key = task.first; key < task.end; ++key) {
        scores[key - task.first] = scale * tensor::dot(row(q_, query) + at, row(k_, key) + at, n);
      }
      tensor::softmax(scores.data(), scores.size());
      float* const out = mixed_.data() + std::size_t{query} * config_.d_model + at;
      for (std::uint32_t key = task.first; key < task.end; ++key) {
        const float weight = scores[key - task.first];
        const float* const value = row(v_, key) + at;
        for (std::size_t i = 0; i < n; ++i) out[i] += weight * value[i];
      }
    }
  }

  void feed_forward(const EncoderLayer& layer) {
    assign(x_, config_.d_model, {&layer.up});
    product(layer.up, hidden_);
    const std::size_t width = config_.d_ff;
    pool_.run(n_tokens(),
              [&](std::uint32_t t) { gelu(std::span(hidden_).subspan(t * width, width)); });
    assign(hidden_, config_.d_ff, {&layer.down});
    product(layer.down, out_);
    add_and_norm(layer.ffn_norm);
  }

  void add_and_norm(const LayerNorm& norm) {
    tensor::add(out_.data(), x_.size(), x_.data());
    norm_rows(norm);
  }

  void norm_rows(const LayerNorm& norm) {
    const std::size_t d = config_.d_model;
    pool_.run(n_tokens(), [&](std::uint32_t t) {
      layer_norm(norm, std::span(x_).subspan(t * d, d), config_.norm_eps);
    });
  }

  const EncoderWeights& weights_;
  const EncoderConfig& config_;
  ThreadPool& pool_;
  std::vector<std::uint32_t> starts_{0};  // [n_texts + 1], rows.
  std::vector<Task> tasks_;
  std::vector<float> x_;                         // [n_tokens, d_model], the state.
  std::vector<float> q_, k_, v_, mixed_, out_;   // [n_tokens, d_model]
  std::vector<float> hidden_;                    // [n_tokens, d_ff]
  tensor::Activations input_;
};

// How many of `texts` go through together.
std::size_t batch_size(std::span<const Input> texts) {
  std::size_t n = 1, n_tokens = texts.front().tokens.size();
  while (n < texts.size() && n_tokens + texts[n].tokens.size() <= kBatchTokensMax) {
    n_tokens += texts[n++].tokens.size();
  }
  return n;
}

// The one kind of Encoder there is: a mapped GGUF file with its weights bound.
class LoadedEncoder final : public Encoder {
 public:
  static Result<std::shared_ptr<const Encoder>> create(gguf::GgufFile file,
                                                       const LoadOptions& options) {
    const std::shared_ptr<LoadedEncoder> made(new LoadedEncoder(std::move(file)));
    const gguf::GgufFile& source = made->file_;
    HEARTH_TRY(made->config_, read_encoder_config(source));
    for (const gguf::TensorInfo& info : source.tensors()) made->weight_bytes_ += info.data.size();
    HEARTH_TRY_VOID(check_memory(source.name(), made->weight_bytes_, options.memory_bytes_max));
    HEARTH_TRY(made->weights_, bind_encoder_weights(source, made->config_));
    HEARTH_TRY(made->tokenizer_, load_tokenizer(source, options.image_folder));
    HEARTH_TRY_VOID(made->check_vocabulary());
    HEARTH_TRY_VOID(source.restore());
    for (const auto& range : source.data_ranges()) prefault(range);
    return made;
  }

  Result<std::vector<std::vector<float>>> encode(std::span<const std::vector<TokenId>> texts,
                                                 ThreadPool& pool,
                                                 std::stop_token stop) const override {
    if (ranks()) {
      return fail(Code::kInvalidArgument,
                  fmt::format("the model '{}' ranks documents (/v1/rerank) and makes no embeddings",
                              config_.name));
    }
    std::vector<Input> inputs;
    for (const std::vector<TokenId>& text : texts) inputs.push_back({text, text.size()});
    std::vector<std::vector<float>> vectors;
    HEARTH_TRY_VOID(run(inputs, pool, stop,
                        [&](Batch& batch, std::size_t i) { vectors.push_back(batch.pooled(i)); }));
    return vectors;
  }

  Result<std::vector<float>> score(std::span<const TextPair> pairs, ThreadPool& pool,
                                   std::stop_token stop) const override {
    if (!ranks()) {
      return fail(
          Code::kInvalidArgument,
          fmt::format("the model '{}' embeds texts (/v1/embeddings) and ranks nothing: name "
                      "one with a classifier",
                      config_.name));
    }
    std::vector<Input> inputs;
    for (const TextPair& pair : pairs) inputs.push_back({pair.tokens, pair.n_first});
    std::vector<float> scores;
    HEARTH_TRY_VOID(run(inputs, pool, stop,
                        [&](Batch& batch, std::size_t i) { scores.push_back(batch.score(i)); }));
    return scores;
  }

 private:
  // Calls take(batch, i) for each text in order, i being its place in its batch.
  template <class Take>
  Result<> run(std::span<const Input> texts, ThreadPool& pool, const std::stop_token& stop,
               Take&& take) const {
    for (const Input& text : texts) HEARTH_TRY_VOID(check(text.tokens));
    while (!texts.empty()) {
      if (stop.stop_requested()) return fail(Code::kCancelled, "the request was cancelled");
      const std::size_t n = batch_size(texts);
      Batch batch(weights_, config_, pool);
      batch.run(texts.first(n));
      for (std::size_t i = 0; i < n; ++i) take(batch, i);
      texts = texts.subspan(n);
    }
    return {};
  }

  explicit LoadedEncoder(gguf::GgufFile file) : file_(std::move(file)) {}

  Result<> check_vocabulary() const {
    if (tokenizer_->n_vocab() == config_.n_vocab) return {};
    return fail(Code::kCorrupt,
                fmt::format("'{}': the vocabulary has {} tokens and tensor 'token_embd.weight' {} "
                            "rows: get the model from its source again",
                            file_.name(), tokenizer_->n_vocab(), config_.n_vocab));
  }

  gguf::GgufFile file_;  // Owns the bytes that weights_ borrows.
  EncoderWeights weights_;
};

}  // namespace

Result<std::shared_ptr<const Encoder>> Encoder::load(const std::filesystem::path& path,
                                                     const LoadOptions& options) {
  HEARTH_TRY(gguf::GgufFile file, gguf::GgufFile::open_model(path));
  HEARTH_TRY(const std::string_view architecture, file.get_string("general.architecture"));
  if (!is_encoder_architecture(architecture) && may_rank(architecture)) {
    return load_decoder_ranker(file, path, options);
  }
  return LoadedEncoder::create(std::move(file), options);
}

TextPair Encoder::pair(std::string_view first, std::string_view second) const {
  TextPair made{.tokens = tokenizer_->encode(first, {.add_special = true})};
  made.n_first = static_cast<std::uint32_t>(made.tokens.size());
  const std::vector<text::TokenId> rest = tokenizer_->encode(second);
  made.tokens.insert(made.tokens.end(), rest.begin(), rest.end());
  made.tokens.push_back(made.tokens[made.n_first - 1]);
  return made;
}

Result<> Encoder::check(std::span<const text::TokenId> tokens) const {
  if (tokens.empty()) return fail(Code::kInvalidArgument, "a text without tokens has no embedding");
  if (tokens.size() > config_.n_context) {
    return fail(Code::kInvalidArgument,
                fmt::format("the input has {} tokens, which exceeds the available context size of {} "
                            "tokens of '{}': send it in parts",
                            tokens.size(), config_.n_context, config_.name));
  }
  for (const text::TokenId id : tokens) {
    if (id >= 0 && static_cast<std::uint32_t>(id) < config_.n_vocab) continue;
    return fail(Code::kInvalidArgument, fmt::format("the token {} is not one of '{}': 0 to {} are",
                                                    id, config_.name, config_.n_vocab - 1));
  }
  return {};
}

}  // namespace hearth::model
