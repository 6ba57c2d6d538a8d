#include "hub/embedding_desk.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace hearth::hub {
namespace {

using text::TokenId;

Result<> check(const store::CatalogueEntry& entry, const EmbeddingRequest& request) {
  if (!model::is_encoder_architecture(entry.architecture)) {
    return fail(Code::kInvalidArgument,
                fmt::format("the model '{}' chats and makes no embeddings; name one of the "
                            "architecture 'bert'",
                            entry.name));
  }
  if (!request.inputs.empty() && request.inputs.size() <= kEmbeddingTextsMax) return {};
  return fail(Code::kInvalidArgument, fmt::format("the request has {} texts, 1 to {} are allowed",
                                                  request.inputs.size(), kEmbeddingTextsMax));
}

std::vector<TokenId> tokens_of(const model::Encoder& encoder, const EmbeddingInput& input) {
  if (const auto* const tokens = std::get_if<std::vector<TokenId>>(&input)) return *tokens;
  return encoder.tokenizer().encode(std::get<std::string>(input), {.add_special = true});
}

// The tokens of all texts, each checked; an error says which one it is about.
Result<std::vector<std::vector<TokenId>>> tokenize(const model::Encoder& encoder,
                                                   const std::vector<EmbeddingInput>& inputs) {
  std::vector<std::vector<TokenId>> texts;
  std::size_t n_tokens = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    texts.push_back(tokens_of(encoder, inputs[i]));
    n_tokens += texts.back().size();
    if (const auto fits = encoder.check(texts.back()); !fits) {
      return fail(fits.error().code, fmt::format("input {}: {}", i, fits.error().message));
    }
    if (n_tokens <= kEmbeddingTokensMax) continue;
    return fail(Code::kInvalidArgument,
                fmt::format("the texts have more than {} tokens together: send them in several "
                            "requests",
                            kEmbeddingTokensMax));
  }
  return texts;
}

}  // namespace

EmbeddingDesk::EmbeddingDesk(EmbeddingDeskOptions options) : options_(options) {}

EmbeddingDesk::~EmbeddingDesk() {
  closing_.request_stop();
  worker_.reset();  // Runs what is queued, which ends at once.
}

Result<> EmbeddingDesk::submit(store::CatalogueEntry entry, EmbeddingRequest request,
                               EmbeddingDone done) {
  HEARTH_TRY_VOID(check(entry, request));
  {
    const std::lock_guard lock(mutex_);
    if (n_queued_ >= options_.queue_max) {
      return fail(Code::kUnavailable, fmt::format("{} embedding requests are waiting, which is the "
                                                  "limit; try again in a moment",
                                                  n_queued_));
    }
    ++n_queued_;
  }
  worker_->post([this, entry = std::move(entry), request = std::move(request),
                 done = std::move(done)] {
    Result<Embeddings> result = embed(entry, request);
    {
      const std::lock_guard lock(mutex_);
      --n_queued_;
    }
    done(std::move(result));
  });
  return {};
}

Result<Embeddings> EmbeddingDesk::embed(const store::CatalogueEntry& entry,
                                        const EmbeddingRequest& request) {
  if (closing_.stop_requested()) return fail(Code::kUnavailable, "Hearth is shutting down");
  if (request.stop.stop_requested()) return fail(Code::kCancelled, "the request was cancelled");
  HEARTH_TRY(const std::shared_ptr<const model::Encoder> encoder, encoder_of(entry));
  HEARTH_TRY(const auto texts, tokenize(*encoder, request.inputs));
  if (pool_ == nullptr) pool_ = std::make_unique<ThreadPool>(options_.n_threads);

  // Either of two may end the work: the caller, or the desk's end.
  std::stop_source either;
  const std::stop_callback by_caller(request.stop, [&] { either.request_stop(); });
  const std::stop_callback by_desk(closing_.get_token(), [&] { either.request_stop(); });
  Embeddings made;
  HEARTH_TRY(made.vectors, encoder->encode(texts, *pool_, either.get_token()));
  for (const auto& tokens : texts) made.prompt_tokens += static_cast<std::uint32_t>(tokens.size());
  return made;
}

Result<std::shared_ptr<const model::Encoder>> EmbeddingDesk::encoder_of(
    const store::CatalogueEntry& entry) {
  {
    const std::lock_guard lock(mutex_);
    const auto slot = std::ranges::find_if(loaded_, [&](const Slot& candidate) {
      return candidate.path == entry.path && candidate.file_bytes == entry.bytes;
    });
    if (slot != loaded_.end()) {
      loaded_.splice(loaded_.begin(), loaded_, slot);
      return slot->encoder;
    }
  }
  HEARTH_TRY(std::shared_ptr<const model::Encoder> encoder, model::Encoder::load(entry.path));
  keep(entry, encoder);
  return encoder;
}

void EmbeddingDesk::keep(const store::CatalogueEntry& entry,
                         std::shared_ptr<const model::Encoder> encoder) {
  const std::lock_guard lock(mutex_);
  std::erase_if(loaded_, [&](const Slot& slot) { return slot.path == entry.path; });
  loaded_.push_front({entry.path.string(), entry.bytes, std::move(encoder)});
  std::uint64_t bytes = 0;
  for (auto slot = loaded_.begin(); slot != loaded_.end();) {
    bytes += slot->encoder->weight_bytes();
    const bool goes = bytes > options_.bytes_max && slot != loaded_.begin();
    slot = goes ? loaded_.erase(slot) : std::next(slot);
  }
}

bool EmbeddingDesk::is_loaded(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(loaded_, [&](const Slot& slot) { return slot.path == path; });
}

}  // namespace hearth::hub
