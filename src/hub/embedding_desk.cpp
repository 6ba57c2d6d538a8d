#include "hub/embedding_desk.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

namespace hearth::hub {
namespace {

using text::TokenId;

Result<> check_kind(const store::CatalogueEntry& entry, bool is_of_kind, std::string_view wanted) {
  if (is_of_kind) return {};
  return fail(Code::kInvalidArgument,
              fmt::format("the model '{}' chats and {}; name one of the architecture 'bert'",
                          entry.name, wanted));
}

Result<> check(const store::CatalogueEntry& entry, const EmbeddingRequest& request) {
  HEARTH_TRY_VOID(check_kind(entry, model::is_encoder_architecture(entry.architecture),
                             "makes no embeddings"));
  if (!request.inputs.empty() && request.inputs.size() <= kEmbeddingTextsMax) return {};
  return fail(Code::kInvalidArgument, fmt::format("the request has {} texts, 1 to {} are allowed",
                                                  request.inputs.size(), kEmbeddingTextsMax));
}

Result<> check(const store::CatalogueEntry& entry, const RerankRequest& request) {
  HEARTH_TRY_VOID(check_kind(entry, model::may_rank(entry.architecture), "ranks no documents"));
  if (!request.documents.empty() && request.documents.size() <= kRerankDocumentsMax) return {};
  return fail(Code::kInvalidArgument,
              fmt::format("the request has {} documents, 1 to {} are allowed",
                          request.documents.size(), kRerankDocumentsMax));
}

// Asks to stop as soon as either of two does: the caller, or the desk's end.
class EitherStop {
 public:
  EitherStop(const std::stop_token& a, const std::stop_token& b)
      : by_a_(a, Ask{source_}), by_b_(b, Ask{source_}) {}
  std::stop_token token() const { return source_.get_token(); }

 private:
  struct Ask {
    std::stop_source source;
    void operator()() { source.request_stop(); }
  };
  std::stop_source source_;
  std::stop_callback<Ask> by_a_, by_b_;
};

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

// Each document beside the query, checked; an error says which one it is about.
Result<std::vector<model::TextPair>> pair_up(const model::Encoder& encoder,
                                             const RerankRequest& request) {
  std::vector<model::TextPair> pairs;
  std::size_t n_tokens = 0;
  for (std::size_t i = 0; i < request.documents.size(); ++i) {
    pairs.push_back(encoder.pair(request.query, request.documents[i]));
    n_tokens += pairs.back().tokens.size();
    if (const auto fits = encoder.check(pairs.back().tokens); !fits) {
      return fail(fits.error().code,
                  fmt::format("document {} with the query: {}", i, fits.error().message));
    }
    if (n_tokens <= kRerankTokensMax) continue;
    return fail(Code::kInvalidArgument,
                fmt::format("query and documents have more than {} tokens together: send them in "
                            "several requests",
                            kRerankTokensMax));
  }
  return pairs;
}

}  // namespace

// An encoder as the budget sees it: it goes as a whole, unless a request holds it.
//
// Threading: any thread.
class EmbeddingDesk::ResidentEncoder final : public store::Resident {
 public:
  explicit ResidentEncoder(std::shared_ptr<const model::Encoder> encoder)
      : bytes_(encoder->weight_bytes()), encoder_(std::move(encoder)) {}

  // Null once it was given back.
  std::shared_ptr<const model::Encoder> encoder() const {
    const std::lock_guard lock(mutex_);
    return encoder_;
  }
  std::uint64_t bytes_held() const override { return encoder() == nullptr ? 0 : bytes_; }
  double tail() const override { return 0; }
  std::uint64_t give_back(std::uint64_t) override {
    const std::lock_guard lock(mutex_);
    if (encoder_ == nullptr || encoder_.use_count() > 1) return 0;
    encoder_.reset();
    return bytes_;
  }

 private:
  const std::uint64_t bytes_;
  mutable std::mutex mutex_;
  std::shared_ptr<const model::Encoder> encoder_;
};

EmbeddingDesk::EmbeddingDesk(EmbeddingDeskOptions options)
    : options_(std::move(options)),
      budget_(options_.budget != nullptr
                  ? options_.budget
                  : std::make_shared<store::MemoryBudget>(std::uint64_t{1} << 30)) {}

EmbeddingDesk::~EmbeddingDesk() {
  closing_.request_stop();
  worker_.reset();  // Runs what is queued, which ends at once.
  for (const Slot& slot : loaded_) budget_->forget(slot.resident.get());
}

Result<> EmbeddingDesk::submit(store::CatalogueEntry entry, EmbeddingRequest request,
                               EmbeddingDone done) {
  HEARTH_TRY_VOID(check(entry, request));
  return enqueue(
      [this, entry = std::move(entry), request = std::move(request), done = std::move(done)] {
        Result<Embeddings> result = embed(entry, request);
        leave_queue();
        done(std::move(result));
      });
}

Result<> EmbeddingDesk::submit(store::CatalogueEntry entry, RerankRequest request,
                               RerankDone done) {
  HEARTH_TRY_VOID(check(entry, request));
  return enqueue(
      [this, entry = std::move(entry), request = std::move(request), done = std::move(done)] {
        Result<Ranking> result = rank(entry, request);
        leave_queue();
        done(std::move(result));
      });
}

Result<> EmbeddingDesk::enqueue(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    if (n_queued_ >= options_.queue_max) {
      return fail(Code::kUnavailable,
                  fmt::format("{} requests for encoders are waiting, which is the limit; try again "
                              "in a moment",
                              n_queued_));
    }
    ++n_queued_;
  }
  worker_->post(std::move(work));
  return {};
}

void EmbeddingDesk::leave_queue() {
  const std::lock_guard lock(mutex_);
  --n_queued_;
}

Result<> EmbeddingDesk::check_open(const std::stop_token& stop) const {
  if (closing_.stop_requested()) return fail(Code::kUnavailable, "Hearth is shutting down");
  if (stop.stop_requested()) return fail(Code::kCancelled, "the request was cancelled");
  return {};
}

Result<Embeddings> EmbeddingDesk::embed(const store::CatalogueEntry& entry,
                                        const EmbeddingRequest& request) {
  HEARTH_TRY_VOID(check_open(request.stop));
  HEARTH_TRY(const std::shared_ptr<const model::Encoder> encoder, encoder_of(entry));
  HEARTH_TRY(const auto texts, tokenize(*encoder, request.inputs));
  const EitherStop either(request.stop, closing_.get_token());
  Embeddings made;
  HEARTH_TRY(made.vectors, encoder->encode(texts, *pool_, either.token()));
  for (const auto& tokens : texts) made.prompt_tokens += static_cast<std::uint32_t>(tokens.size());
  return made;
}

Result<Ranking> EmbeddingDesk::rank(const store::CatalogueEntry& entry,
                                    const RerankRequest& request) {
  HEARTH_TRY_VOID(check_open(request.stop));
  HEARTH_TRY(const std::shared_ptr<const model::Encoder> encoder, encoder_of(entry));
  HEARTH_TRY(const auto pairs, pair_up(*encoder, request));
  const EitherStop either(request.stop, closing_.get_token());
  Ranking made;
  HEARTH_TRY(made.scores, encoder->score(pairs, *pool_, either.token()));
  for (const model::TextPair& pair : pairs) {
    made.prompt_tokens += static_cast<std::uint32_t>(pair.tokens.size());
  }
  return made;
}

Result<std::shared_ptr<const model::Encoder>> EmbeddingDesk::encoder_of(
    const store::CatalogueEntry& entry) {
  if (auto encoder = find(entry)) return encoder;
  if (pool_ == nullptr) pool_ = std::make_unique<ThreadPool>(options_.n_threads);
  const auto began = std::chrono::steady_clock::now();
  HEARTH_TRY(std::shared_ptr<const model::Encoder> encoder, model::Encoder::load(entry.path));
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - began;
  keep(entry, encoder, took.count());
  return encoder;
}

std::shared_ptr<const model::Encoder> EmbeddingDesk::find(const store::CatalogueEntry& entry) {
  std::shared_ptr<ResidentEncoder> resident;
  double load_ms = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto slot = std::ranges::find_if(loaded_, [&](const Slot& candidate) {
      return candidate.path == entry.path && candidate.file_bytes == entry.bytes;
    });
    if (slot == loaded_.end()) return nullptr;
    resident = slot->resident;
    load_ms = slot->load_ms;
  }
  auto encoder = resident->encoder();
  if (encoder != nullptr) budget_->use(resident, load_ms);
  return encoder;
}

// The newest one, for which others make room.
void EmbeddingDesk::keep(const store::CatalogueEntry& entry,
                         std::shared_ptr<const model::Encoder> encoder, double load_ms) {
  const auto resident = std::make_shared<ResidentEncoder>(std::move(encoder));
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(loaded_, [&](const Slot& slot) {
      const bool goes = slot.path == entry.path || slot.resident->encoder() == nullptr;
      if (goes) budget_->forget(slot.resident.get());
      return goes;
    });
    loaded_.push_front({entry.path.string(), entry.bytes, resident, load_ms});
  }
  budget_->use(resident, load_ms);
  budget_->settle(resident.get());
}

bool EmbeddingDesk::is_loaded(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(loaded_, [&](const Slot& slot) {
    return slot.path == path && slot.resident->encoder() != nullptr;
  });
}

}  // namespace hearth::hub
