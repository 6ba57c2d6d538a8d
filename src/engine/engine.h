// The engine: sessions of any loaded model, batched on one owner thread.
//
// A caller submits a prompt with a sink and gets events; the engine thread admits jobs,
// prefills in chunks, decodes in a batch, samples, detects stop strings, and frees a
// cancelled job's pages within one step.  Finished prompts stay in a prefix cache of
// KV pages, so that a turn that repeats an earlier one prefills only what is new.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engine/sampling.h"
#include "model/adapter.h"
#include "model/model.h"
#include "text/grammar/constraint.h"

namespace hearth::engine {

enum class JobId : std::uint64_t {};

struct AdapterChoice {
  std::shared_ptr<const model::Adapter> adapter;  // A lease, as that of the model.
  float weight = 1.0F;
};

struct GenerateRequest {
  std::shared_ptr<const model::Model> model;  // A lease: held until the job ends.
  // Of this model; applied together, in batches with others' or none.
  std::vector<AdapterChoice> adapters;
  std::vector<text::TokenId> prompt;          // At least one token.
  SamplingOptions sampling;
  std::uint32_t max_tokens = 0;               // 0: up to the context's end.
  std::vector<std::string> stop;              // Text ends before the first of these.
  bool ignore_eos = false;                    // Go on after end-of-generation tokens.
  std::vector<text::TokenId> spoken_control;  // Control tokens whose text the answer keeps; sorted.
  std::uint32_t n_top_logprobs = 0;           // Alternatives per token in events, at most 20.
  // What the answer may be, held against the model's vocabulary; null: anything.  Under one, the unsure
  // token is never sampled, end-of-generation tokens only where the answer is complete, and the job
  // ends by itself where nothing may follow.
  std::shared_ptr<text::grammar::Constraint> constraint;
  // A smaller model of the same vocabulary (check_draft_model) that drafts tokens; null: none.  It
  // changes how fast the answer comes and nothing else.
  std::shared_ptr<const model::Model> draft_model;
  // Whether what is computed may be kept on disk (EngineOptions::snapshots).
  bool may_keep = true;
  std::string client;                         // Jobs are served fairly by client, then by age.
};

struct TokenLogprob {
  text::TokenId id = 0;
  std::string bytes;    // The token's own bytes; may be part of a code point.
  float logprob = 0;    // Natural log, before penalties and temperature.
};

// One sampled token.  `text` is what may be shown now: complete code points, and nothing that could
// still turn out to be part of a stop string; the pieces of a job concatenate to its text.
struct TokenEvent {
  std::string text;
  TokenLogprob token;
  float entropy = 0;                  // Nats, of the whole distribution.
  float unsure_probability = 0;       // Of the model's unsure token, 0 if it has none.
  std::vector<TokenLogprob> top;      // n_top_logprobs of them, best first.
};

enum class FinishReason : std::uint8_t { kStop, kLength, kCancelled, kError };

struct FinishEvent {
  FinishReason reason = FinishReason::kStop;
  Error error{Code::kInternal, ""};   // Set when reason is kError.
  std::string text;                   // Held-back text that turned out to be no stop string.
  std::string stop_string;            // The one that ended the text, if any.
  bool unsure = false;                // Ended by the model's unsure token.
  std::uint32_t prompt_tokens = 0;
  std::uint32_t cached_tokens = 0;    // Of the prompt, found in the prefix cache.
  std::uint32_t restored_tokens = 0;  // Of these, read from disk for this job.
  std::uint32_t completion_tokens = 0;  // Sampled, the end-of-generation token left out.
  double queue_ms = 0;                // From submit until a first token was computed on.
  double prefill_ms = 0;              // From then to the first sampled token.
  double decode_ms = 0;               // From then to the end.
};

// Receives a job's events on the engine thread: do little, never block.  on_token comes once per token
// of the answer (completion_tokens of them), not for one that ends it (end of generation, unsure);
// on_finish is the last call, exactly once per accepted job, when its pages are free already.  A sink
// that throws ends its own job with kError.
class GenerateSink {
 public:
  virtual ~GenerateSink() = default;
  virtual void on_token(JobId job, const TokenEvent& event) = 0;
  virtual void on_finish(JobId job, const FinishEvent& event) = 0;
};

// Prefixes that outlive the process (session_snapshots.h).
struct SnapshotOptions {
  std::filesystem::path folder;                    // Empty: none are kept.
  std::uint64_t bytes_max = std::uint64_t{4} << 30;
  std::uint32_t tokens_min = 256;                  // Shorter prompts and sessions are not kept.
};

struct EngineOptions {
  unsigned n_threads = 0;                          // 0: one per core.
  std::uint64_t kv_bytes_max = std::uint64_t{512} << 20;  // Pages of all sessions and the prefix cache.
  std::uint32_t n_context_max = 0;                 // Tokens per session; 0: the model's own limit.
  std::uint32_t prefill_chunk_tokens = 512;
  std::uint32_t n_batch_sessions_max = 64;
  std::uint32_t queue_max = 1024;                  // Jobs that wait; more are kUnavailable.
  bool prefix_cache = true;
  bool speculation = true;                         // Draft tokens from a session's own text.
  SnapshotOptions snapshots;                       // Need the prefix cache.
};

struct EngineStats {
  std::uint64_t kv_pages_used = 0;                 // By sessions and the prefix cache.
  std::uint64_t kv_pages_cached = 0;               // Of these, held by the prefix cache alone.
  std::uint64_t kv_bytes_used = 0;
  std::uint64_t kv_bytes_max = 0;
  std::uint32_t jobs_running = 0;
  std::uint32_t jobs_waiting = 0;
  std::uint64_t jobs_finished = 0;
  std::uint64_t prompt_tokens = 0;                 // Totals since start.
  std::uint64_t cached_tokens = 0;
  std::uint64_t completion_tokens = 0;
  std::uint64_t preemptions = 0;                   // Sessions sent back to the queue for their pages.
  std::uint64_t steps = 0;                         // Batches run.
  std::uint64_t drafted_tokens = 0;                // By speculation,
  std::uint64_t accepted_tokens = 0;               // and of these, what the model chose as well.
  std::uint64_t restores = 0;                      // Prompts of which pages were read from disk,
  std::uint64_t restored_tokens = 0;               // and tokens that need no computing for it.
  std::uint64_t snapshot_files = 0;                // On disk now,
  std::uint64_t snapshot_bytes = 0;
  std::uint64_t snapshot_bytes_written = 0;        // and what came and went since start.
  std::uint64_t snapshots_written = 0;
  std::uint64_t snapshots_evicted = 0;
  std::uint64_t snapshots_damaged = 0;
  std::uint64_t snapshots_not_written = 0;         // Sessions, for want of room or an able disk.
};

// Whether `draft` may draft for `model`: token for token the same vocabulary, but for a few more at the
// end of either.  kInvalidArgument names the first token that differs.  Compares all of them: call it
// once when a model is loaded.
Result<> check_draft_model(const model::Model& model, const model::Model& draft);

// Threading: all members may be called from any thread, also from inside a sink.
class Engine {
 public:
  static Result<std::unique_ptr<Engine>> create(const EngineOptions& options,
                                                const Clock& clock = Clock::system());
  virtual ~Engine() = default;  // Cancels what runs; every sink gets its on_finish first.

  // kInvalidArgument: empty prompt, bad sampling, or a prompt that does not fit ("... tokens exceeds
  // the available context size of ... tokens ..."); kUnavailable: the queue is full; kOutOfBudget:
  // the session could never fit kv_bytes_max.
  virtual Result<JobId> submit(GenerateRequest request, std::shared_ptr<GenerateSink> sink) = 0;

  // The job ends with kCancelled within one step.  No effect on one that has ended.
  virtual void cancel(JobId job) = 0;

  // Tokens a session of `model` may hold, prompt and completion together.
  virtual std::uint32_t context_tokens(const model::Model& model) const = 0;

  virtual EngineStats stats() const = 0;
};

}  // namespace hearth::engine
