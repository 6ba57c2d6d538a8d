#include "engine/model_step_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/page_stream.h"

namespace hearth::engine {
namespace {

class DecoderStream final : public TextStream {
 public:
  DecoderStream(const text::Tokenizer& tokenizer, bool at_start, std::span<const TokenId> spoken)
      : decoder_(tokenizer, /*special=*/false, at_start), spoken_(spoken) {}
  std::string push(TokenId id) override {
    return decoder_.push(id, std::ranges::binary_search(spoken_, id));
  }
  std::string flush() override { return decoder_.flush(); }

 private:
  text::StreamDecoder decoder_;
  std::span<const TokenId> spoken_;
};

class ModelStepRunner final : public StepRunner {
 public:
  ModelStepRunner(std::shared_ptr<const model::Model> model, ForwardContext& context)
      : model_(std::move(model)), context_(context) {}

  std::uint64_t identity() const override { return model_->identity(); }
  model::KvLayout kv_layout() const override { return model_->kv_layout(); }
  std::uint32_t n_vocab() const override { return model_->config().n_vocab; }
  std::uint32_t n_context() const override { return model_->config().n_context_train; }
  std::optional<TokenId> unsure_token() const override { return model_->unsure_token(); }

  bool is_end_of_generation(TokenId id) const override {
    return model_->tokenizer().is_end_of_generation(id);
  }
  std::string token_bytes(TokenId id) const override {
    return model_->tokenizer().piece(id, /*special=*/true);
  }
  std::unique_ptr<TextStream> text_after(std::span<const TokenId> prompt,
                                         std::span<const TokenId> spoken) const override {
    // After nothing but BOS and its like, the text begins: its first space is the tokenizer's.
    const bool at_start = std::all_of(prompt.begin(), prompt.end(), [this](TokenId id) {
      return model_->tokenizer().is_control(id);
    });
    return std::make_unique<DecoderStream>(model_->tokenizer(), at_start, spoken);
  }

  bool is_streaming() const override {
    return model_->stream() != nullptr && model_->stream()->is_streaming();
  }
  Result<> reserve(std::uint32_t n_tokens_max) override {
    return context_.scratch.reserve(*model_, n_tokens_max);
  }
  Result<> run(std::span<const model::Segment> batch) override {
    model::forward(*model_, batch, context_.scratch, context_.pool);
    if (model_->is_damaged()) {
      if (const PageStream* const stream = model_->stream(); stream && stream->has_problem()) {
        return std::unexpected(*stream->problem());
      }
      return fail(Code::kCorrupt,
                  fmt::format("a file of the model '{}' was cut off or can't be read any more: its "
                              "answer was stopped, since it would be wrong",
                              model_->config().name));
    }
    return {};
  }

 private:
  std::shared_ptr<const model::Model> model_;
  ForwardContext& context_;
};

}  // namespace

std::shared_ptr<StepRunner> make_model_step_runner(std::shared_ptr<const model::Model> model,
                                                   ForwardContext& context) {
  return std::make_shared<ModelStepRunner>(std::move(model), context);
}

}  // namespace hearth::engine
