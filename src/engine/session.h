// A job from submit to on_finish, as the scheduler holds it.
//
// Tokens of prompt and answer live in one vector; `n_computed` of them have keys and
// values.  A step computes some of the rest, and when it reaches the end it yields the
// logits of the next token.  So prefill, decode and the return after a preemption are
// one case with different lengths, and nothing but the pages is lost by preempting.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/draft_trust.h"
#include "engine/engine.h"
#include "engine/prompt_lookup.h"
#include "engine/sampler.h"
#include "engine/session_pages.h"
#include "engine/step_runner.h"
#include "engine/stop_matcher.h"

namespace hearth::engine {

// A request that passed check_request.
struct Job {
  JobId id{};
  GenerateRequest request;
  std::shared_ptr<StepRunner> runner;
  std::shared_ptr<StepRunner> drafter;  // A smaller model of the same vocabulary; may be null.
  std::shared_ptr<GenerateSink> sink;
  std::string model_name;          // For those who look at snapshots.
  std::uint32_t n_tokens_max = 0;  // Prompt and completion together.
  std::int64_t submitted_ns = 0;   // Of the monotonic clock.
};

// Whether `request` can be served in a context of n_context tokens; returns Job::n_tokens_max.
// kInvalidArgument names what is wrong.
Result<std::uint32_t> check_request(const GenerateRequest& request, std::uint32_t n_vocab,
                                    std::uint32_t n_context);

// What a sampled token leads to.
struct Verdict {
  bool is_finished = false;
  FinishReason reason = FinishReason::kStop;
  bool unsure = false;
};

// A session as its draft model sees it.
struct DraftSession {
  DraftSession(std::shared_ptr<StepRunner> its_runner, KvPagePool& pool, PrefixCache* cache)
      : runner(std::move(its_runner)),
        pages(pool, cache, PrefixKey{runner->identity(), runner->kv_layout()}) {}
  void close(std::span<const TokenId> tokens) {
    pages.close(tokens, n_computed);
    n_computed = 0;
  }

  std::shared_ptr<StepRunner> runner;
  SessionPages pages;            // Opened at the first draft.
  std::uint32_t n_computed = 0;  // Of the session's tokens.
  DraftTrust trust;
  bool has_trust = false;        // `trust` began with what other sessions learned.
  bool is_barred = false;        // Pages were short, or it failed: no more drafts.
};

// Threading: the engine thread's.
class Session {
 public:
  Session(Job job, KvPagePool& pool, PrefixCache* cache);

  JobId id() const { return job.id; }
  StepRunner& runner() const { return *job.runner; }
  std::uint32_t n_tokens() const { return static_cast<std::uint32_t>(tokens.size()); }
  std::uint32_t n_pending() const { return n_tokens() - n_computed; }
  std::uint32_t n_prompt() const { return static_cast<std::uint32_t>(job.request.prompt.size()); }
  std::uint32_t n_sampled() const { return n_tokens() - n_prompt(); }

  // Samples from `logits` [n_vocab] (as Sampler::choose), tells the sink, and says whether that was
  // the end.  kInternal if the logits are no numbers.  `event` is working memory.
  Result<Verdict> take_logits(std::span<float> logits, SamplerScratch& scratch, TokenEvent& event);

  // The token that these logits, of another model, would lead to n_ahead tokens after the next one.
  TokenId guess(std::span<float> logits, std::uint32_t n_ahead, SamplerScratch& scratch) const {
    return sampler_.choose(logits, std::uint64_t{n_sampled()} + n_ahead, scratch);
  }

  // Microseconds that each token of the prompt took to compute; 0: not known.
  std::uint64_t prompt_token_us() const;

  // Gives all pages back; what was computed stays in the prefix cache while memory lasts.
  void close_pages();

  // Tokens that a step may add to what is there: the limit's rest.
  std::uint32_t n_room() const { return job.n_tokens_max - n_tokens(); }

  // The last event, with the text still held back; times as of now_ns.
  FinishEvent finish_event(FinishReason reason, std::int64_t now_ns);

  Job job;
  SessionPages pages;
  std::vector<TokenId> tokens;       // Prompt, then what was sampled.
  std::vector<TokenId> run;          // In this batch: the pending token, then drafts of the next.
  std::uint32_t n_computed = 0;
  std::uint32_t n_cached = 0;        // Of the prompt, found in the prefix cache.
  std::uint32_t n_restored = 0;      // Of these, read from disk for it.
  std::uint32_t n_in_memory = 0;     // Of the prompt, when the disk was looked at,
  std::uint32_t n_on_disk = 0;       // and when all that the disk had was read.
  std::uint32_t n_overtaken = 0;     // Jobs admitted while this one waited for pages.
  bool is_running = false;           // Has its pages and a place in batches.
  bool was_preempted = false;
  bool has_asked_for_pages = false;  // Another session was preempted for it once.
  std::int64_t started_ns = 0;       // First computed on; 0: not yet.
  std::int64_t first_token_ns = 0;   // First sampled; 0: not yet.
  std::vector<float> known_logits;   // Of the first token, from disk; empty: to be computed.
  std::vector<float> prompt_logits;  // Of the first token, for the disk; empty: not to be kept.
  PromptLookup lookup;
  std::unique_ptr<DraftSession> drafter;  // Null without a draft model.

 private:
  // What the grammar leaves of the logits, in the scratch; the logits themselves without one.
  Result<std::span<float>> allowed(std::span<float> logits, SamplerScratch& scratch);
  void describe(TokenId id, const LogitStats& stats, std::span<const float> logits,
                SamplerScratch& scratch, TokenEvent& event) const;

  Sampler sampler_;
  std::optional<text::grammar::Matcher> matcher_;
  StopMatcher stop_;
  std::unique_ptr<TextStream> text_;
};

}  // namespace hearth::engine
