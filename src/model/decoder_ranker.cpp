#include "model/decoder_ranker.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <new>

#include "model/architecture_table.h"
#include "model/forward.h"

namespace hearth::model {
namespace {

constexpr std::uint32_t kBatchTokens = 512;
constexpr std::string_view kQuery = "{query}";
constexpr std::string_view kDocument = "{document}";

// What Qwen3-Reranker was trained on, for files that do not say.
constexpr std::string_view kUsualPrompt =
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and "
    "the Instruct provided. Note that the answer can only be \"yes\" or \"no\".<|im_end|>\n"
    "<|im_start|>user\n<Instruct>: Given a web search query, retrieve relevant passages that "
    "answer the query\n<Query>: {query}\n<Document>: {document}<|im_end|>\n"
    "<|im_start|>assistant\n<think>\n\n</think>\n\n";

// Which of the classifier's numbers speaks for the document.
Result<std::uint32_t> yes_label(const gguf::GgufFile& file, std::string_view architecture) {
  const std::string key = fmt::format("{}.classifier.output_labels", architecture);
  if (file.find(key) == nullptr) return 0;
  HEARTH_TRY(const gguf::StringRange labels, file.get_strings(key));
  std::uint32_t i = 0;
  for (const std::string_view label : labels) {
    if (label == "yes") return i;
    ++i;
  }
  return 0;
}

class DecoderRanker final : public Encoder {
 public:
  DecoderRanker(std::shared_ptr<const Model> model, std::string prompt, std::uint32_t yes)
      : model_(std::move(model)), prompt_(std::move(prompt)), yes_(yes) {
    const ModelConfig& c = model_->config();
    config_ = {.name = c.name,
               .n_layers = c.n_layers,
               .n_heads = c.n_heads,
               .head_dim = c.head_dim,
               .d_model = c.d_model,
               .d_ff = c.d_ff,
               .n_vocab = c.n_vocab,
               .n_context = c.n_context_train,
               .norm_eps = c.norm_eps,
               .pooling = Pooling::kRank};
    tokenizer_ = {model_, &model_->tokenizer()};
    weight_bytes_ = model_->weight_bytes();
  }

  TextPair pair(std::string_view first, std::string_view second) const override;

  Result<std::vector<std::vector<float>>> encode(std::span<const std::vector<text::TokenId>>,
                                                 ThreadPool&, std::stop_token) const override {
    return fail(Code::kInvalidArgument,
                fmt::format("the model '{}' ranks documents and makes no embeddings: name another",
                            config_.name));
  }

  Result<std::vector<float>> score(std::span<const TextPair> pairs, ThreadPool& pool,
                                   std::stop_token stop) const override;

 private:
  struct Session;

  Result<std::vector<Session>> open_sessions(std::span<const TextPair> pairs) const;
  void append_literal(std::string_view literal, std::string& run,
                      std::vector<text::TokenId>& out) const;
  void flush(std::string& run, std::vector<text::TokenId>& out) const;

  std::shared_ptr<const Model> model_;
  std::string prompt_;
  std::uint32_t yes_;
};

// The prompt with both texts in it.  Only the prompt's own control tokens become such: what a
// document says of them is text.
TextPair DecoderRanker::pair(std::string_view first, std::string_view second) const {
  TextPair made;
  std::string run;
  std::string_view rest = prompt_;
  while (!rest.empty()) {
    const std::size_t query = std::min(rest.find(kQuery), rest.size());
    const std::size_t document = std::min(rest.find(kDocument), rest.size());
    const std::size_t at = std::min(query, document);
    append_literal(rest.substr(0, at), run, made.tokens);
    if (at == rest.size()) break;
    run += at == query ? first : second;
    rest.remove_prefix(at + (at == query ? kQuery.size() : kDocument.size()));
  }
  flush(run, made.tokens);
  made.n_first = static_cast<std::uint32_t>(made.tokens.size());
  return made;
}

// Text between control tokens is one run, whatever it comes from: so words are cut as in a whole.
void DecoderRanker::append_literal(std::string_view literal, std::string& run,
                                   std::vector<text::TokenId>& out) const {
  while (!literal.empty()) {
    const std::size_t open = std::min(literal.find('<'), literal.size());
    const std::size_t close = literal.find('>', open);
    run += literal.substr(0, open);
    literal.remove_prefix(open);
    if (literal.empty()) return;
    const std::size_t length = close == literal.npos ? 1 : close - open + 1;
    const auto id = tokenizer_->find(literal.substr(0, length));
    if (id && tokenizer_->is_control(*id)) {
      flush(run, out);
      out.push_back(*id);
      literal.remove_prefix(length);
    } else {
      run += literal.front();
      literal.remove_prefix(1);
    }
  }
}

void DecoderRanker::flush(std::string& run, std::vector<text::TokenId>& out) const {
  const std::vector<text::TokenId> ids = tokenizer_->encode(run);
  out.insert(out.end(), ids.begin(), ids.end());
  run.clear();
}

// One pair on its way through the model.
struct DecoderRanker::Session {
  std::span<const text::TokenId> tokens;
  std::vector<std::byte> memory;
  std::vector<std::byte*> pages;
  std::vector<std::byte> state;
  std::vector<float> logits;
  std::uint32_t n_done = 0;

  Session(const Model& model, std::span<const text::TokenId> of) : tokens(of) {
    const KvLayout layout = model.kv_layout();
    const std::size_t n_pages = (tokens.size() + kPageTokens - 1) / kPageTokens;
    memory.resize(n_pages * layout.page_bytes());
    for (std::size_t i = 0; i < n_pages; ++i) {
      pages.push_back(memory.data() + i * layout.page_bytes());
    }
    state.resize(layout.state_bytes);
    logits.resize(model.config().n_logits);
  }

  // Its next tokens, at most n; with logits if they are the last.
  Segment next(std::uint32_t n) {
    Segment segment{.tokens = tokens.subspan(n_done, std::min<std::size_t>(n, tokens.size() - n_done)),
                    .position = n_done,
                    .pages = pages,
                    .state = state.data()};
    n_done += static_cast<std::uint32_t>(segment.tokens.size());
    if (n_done == tokens.size()) {
      segment.n_logits = 1;
      segment.logits = logits.data();
    }
    return segment;
  }
};

// As many of the first pairs as fill a batch; one at least.
Result<std::vector<DecoderRanker::Session>> DecoderRanker::open_sessions(
    std::span<const TextPair> pairs) const {
  std::vector<Session> sessions;
  std::size_t n_tokens = 0;
  for (const TextPair& pair : pairs) {
    n_tokens += pair.tokens.size();
    if (!sessions.empty() && n_tokens > kBatchTokens) break;
    try {
      sessions.emplace_back(*model_, pair.tokens);
    } catch (const std::bad_alloc&) {
      return fail(Code::kOutOfBudget,
                  fmt::format("no memory for the keys and values of {} tokens: send a shorter text",
                              pair.tokens.size()));
    }
  }
  return sessions;
}

// Pairs go through the model side by side.
Result<std::vector<float>> DecoderRanker::score(std::span<const TextPair> pairs, ThreadPool& pool,
                                                std::stop_token stop) const {
  for (const TextPair& pair : pairs) HEARTH_TRY_VOID(check(pair.tokens));
  ForwardScratch scratch;
  HEARTH_TRY_VOID(scratch.reserve(*model_, kBatchTokens));
  std::vector<float> scores;
  while (!pairs.empty()) {
    HEARTH_TRY(std::vector<Session> sessions, open_sessions(pairs));
    // Only one that is alone is longer than a batch.
    while (sessions.back().n_done < sessions.back().tokens.size()) {
      if (stop.stop_requested()) return fail(Code::kCancelled, "the request was cancelled");
      std::vector<Segment> batch;
      for (Session& session : sessions) batch.push_back(session.next(kBatchTokens));
      forward(*model_, batch, scratch, pool);
    }
    for (const Session& session : sessions) {
      double sum = 0;
      for (const float logit : session.logits) {
        sum += std::exp(static_cast<double>(logit) - static_cast<double>(session.logits[yes_]));
      }
      scores.push_back(static_cast<float>(1.0 / sum));
    }
    pairs = pairs.subspan(sessions.size());
  }
  return scores;
}

}  // namespace

bool may_rank(std::string_view architecture) {
  if (is_encoder_architecture(architecture)) return true;
  const Architecture* const row = find_architecture(architecture);
  return row != nullptr && row->classifier != Presence::kNever;
}

Result<std::shared_ptr<const Encoder>> load_decoder_ranker(const gguf::GgufFile& file,
                                                           const std::filesystem::path& path,
                                                           const LoadOptions& options) {
  HEARTH_TRY(const std::string_view architecture, file.get_string("general.architecture"));
  HEARTH_TRY(const std::uint32_t pooling,
             file.get_u32(fmt::format("{}.pooling_type", architecture), 0U));
  if (pooling != static_cast<std::uint32_t>(Pooling::kRank)) {
    return fail(Code::kInvalidArgument,
                fmt::format("'{}' chats and neither ranks documents nor makes embeddings: name "
                            "another model",
                            file.name()));
  }
  LoadOptions as_ranker = options;
  as_ranker.as_ranker = true;
  HEARTH_TRY(std::shared_ptr<const Model> model, Model::load(path, as_ranker));
  HEARTH_TRY(const std::string_view prompt,
             file.get_string("tokenizer.chat_template.rerank", kUsualPrompt));
  HEARTH_TRY(const std::uint32_t yes, yes_label(file, architecture));
  if (yes >= model->config().n_logits || prompt.find(kQuery) == prompt.npos ||
      prompt.find(kDocument) == prompt.npos) {
    return fail(Code::kCorrupt,
                fmt::format("'{}': its prompt for ranking lacks a query or a document, or its "
                            "classifier a yes: get the model from its source again",
                            file.name()));
  }
  return std::make_shared<const DecoderRanker>(std::move(model), std::string(prompt), yes);
}

}  // namespace hearth::model
