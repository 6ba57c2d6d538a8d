#include "engine/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace hearth::engine {
namespace {

constexpr std::uint32_t kTopLogprobsMax = 20;

Result<> check_tokens(const GenerateRequest& request, std::uint32_t n_vocab) {
  for (const TokenId id : request.prompt) {
    if (id >= 0 && static_cast<std::uint32_t>(id) < n_vocab) continue;
    return fail(Code::kInvalidArgument,
                fmt::format("the prompt holds token {}, the model has {}", id, n_vocab));
  }
  for (const auto& [id, bias] : request.sampling.logit_bias) {
    if (static_cast<std::uint32_t>(id) < n_vocab) continue;
    return fail(Code::kInvalidArgument,
                fmt::format("logit_bias names token {}, the model has {}", id, n_vocab));
  }
  return {};
}

double milliseconds(std::int64_t from_ns, std::int64_t to_ns) {
  return static_cast<double>(to_ns - from_ns) * 1e-6;
}

}  // namespace

Result<std::uint32_t> check_request(const GenerateRequest& request, std::uint32_t n_vocab,
                                    std::uint32_t n_context) {
  const std::size_t n_prompt = request.prompt.size();
  if (n_prompt == 0) return fail(Code::kInvalidArgument, "the prompt is empty: one token is needed");
  if (n_prompt >= n_context) {
    return fail(Code::kInvalidArgument,
                fmt::format("the prompt of {} tokens exceeds the available context size of {} tokens "
                            "(one is kept for the answer): shorten it, or give the engine a larger "
                            "context or more KV memory",
                            n_prompt, n_context));
  }
  if (request.n_top_logprobs > kTopLogprobsMax) {
    return fail(Code::kInvalidArgument,
                fmt::format("{} alternatives per token are asked for, at most {} are given",
                            request.n_top_logprobs, kTopLogprobsMax));
  }
  HEARTH_TRY_VOID(request.sampling.validate());
  HEARTH_TRY_VOID(check_stop_strings(request.stop));
  HEARTH_TRY_VOID(check_adapters(request.adapters));
  HEARTH_TRY_VOID(check_tokens(request, n_vocab));
  const auto n_room = static_cast<std::uint32_t>(n_context - n_prompt);
  const std::uint32_t n_answer =
      request.max_tokens == 0 ? n_room : std::min(request.max_tokens, n_room);
  return static_cast<std::uint32_t>(n_prompt) + n_answer;
}

Session::Session(Job j, KvPagePool& pool, PrefixCache* cache)
    : job(std::move(j)),
      pages(pool, cache, PrefixKey{job.runner->identity(), job.runner->kv_layout()},
            AdapterMix(job.request.adapters, job.request.prompt)),
      tokens(job.request.prompt),
      lookup(job.request.prompt.size()),
      sampler_(job.request.sampling),
      stop_(job.request.stop),
      text_(job.runner->text_after(job.request.prompt, job.request.spoken_control)) {
  run.reserve(kDraftTokensMax + 1);
  if (job.drafter != nullptr) {
    drafter = std::make_unique<DraftSession>(job.drafter, pool, cache);
  }
  if (job.request.constraint != nullptr) matcher_.emplace(job.request.constraint);
}

std::uint64_t Session::prompt_token_us() const {
  constexpr std::uint32_t kTokensMin = 16;  // Fewer tell more of a step than of a token.
  if (first_token_ns == 0 || n_prompt() < n_cached + kTokensMin) return 0;
  const std::int64_t took_us = (first_token_ns - started_ns) / 1000;
  return static_cast<std::uint64_t>(took_us) / (n_prompt() - n_cached);
}

void Session::close_pages() {
  if (drafter != nullptr) drafter->close(tokens);
  pages.close(tokens, n_computed);
}

// Fills in all of the event but its text.
void Session::describe(TokenId id, const LogitStats& stats, std::span<const float> logits,
                       SamplerScratch& scratch, TokenEvent& event) const {
  const auto logprob = [&](TokenId t) { return logits[static_cast<std::size_t>(t)] - stats.log_z; };
  event.token.id = id;
  event.token.bytes = runner().token_bytes(id);
  event.token.logprob = logprob(id);
  event.entropy = stats.entropy;
  const auto unsure = runner().unsure_token();
  event.unsure_probability = unsure ? std::exp(logprob(*unsure)) : 0.0F;

  select_top(logits, job.request.n_top_logprobs, scratch.top);
  event.top.resize(scratch.top.size());
  for (std::size_t i = 0; i < scratch.top.size(); ++i) {
    const TokenId other = scratch.top[i].id;
    event.top[i] = {other, runner().token_bytes(other), logprob(other)};
  }
}

Result<std::span<float>> Session::allowed(std::span<float> logits, SamplerScratch& scratch) {
  if (!matcher_) return logits;
  scratch.mask.resize(matcher_->mask_words());
  HEARTH_TRY_VOID(matcher_->fill_mask(scratch.mask));
  const auto forbid = [&](TokenId id) {
    const auto bit = static_cast<std::size_t>(id);
    if (bit / 64 < scratch.mask.size()) scratch.mask[bit / 64] &= ~(std::uint64_t{1} << (bit % 64));
  };
  if (const auto unsure = runner().unsure_token()) forbid(*unsure);
  if (job.request.ignore_eos) {
    for (const TokenId id : job.request.constraint->lexicon().end_tokens()) forbid(id);
  }
  scratch.masked.resize(logits.size());
  if (apply_mask(logits, scratch.mask, scratch.masked)) return scratch.masked;
  return fail(Code::kInvalidArgument,
              "no token that the model could choose continues the answer within its grammar");
}

Result<Verdict> Session::take_logits(std::span<float> logits, SamplerScratch& scratch,
                                     TokenEvent& event) {
  HEARTH_TRY(const LogitStats stats, measure_logits(logits));
  HEARTH_TRY(const std::span<float> candidates, allowed(logits, scratch));
  const TokenId id = sampler_.choose(candidates, n_sampled(), scratch);
  if (id == runner().unsure_token()) return Verdict{true, FinishReason::kStop, true};
  if (!job.request.ignore_eos && runner().is_end_of_generation(id)) {
    return Verdict{true, FinishReason::kStop};
  }
  if (matcher_) HEARTH_TRY_VOID(matcher_->accept(id));
  tokens.push_back(id);
  sampler_.accept(id);
  describe(id, stats, logits, scratch, event);
  event.text.clear();
  const bool is_stopped = stop_.push(text_->push(id), event.text);
  job.sink->on_token(job.id, event);
  if (is_stopped || (matcher_ && matcher_->is_complete())) return Verdict{true, FinishReason::kStop};
  return Verdict{n_tokens() >= job.n_tokens_max, FinishReason::kLength};
}

FinishEvent Session::finish_event(FinishReason reason, std::int64_t now_ns) {
  FinishEvent event;
  event.reason = reason;
  if (!stop_.push(text_->flush(), event.text)) stop_.flush(event.text);
  if (stop_.found() != nullptr) event.stop_string = *stop_.found();
  event.prompt_tokens = n_prompt();
  event.cached_tokens = n_cached;
  event.restored_tokens = n_restored;
  event.completion_tokens = n_sampled();
  const std::int64_t started = started_ns != 0 ? started_ns : now_ns;
  const std::int64_t first_token = first_token_ns != 0 ? first_token_ns : now_ns;
  event.queue_ms = milliseconds(job.submitted_ns, started);
  event.prefill_ms = milliseconds(started, first_token);
  event.decode_ms = milliseconds(first_token, now_ns);
  return event;
}

}  // namespace hearth::engine
