// One batch: which model, which tokens, and what comes of them.
#include <algorithm>

#include "engine/catch_error.h"
#include "engine/scheduler.h"

namespace hearth::engine {
namespace {

constexpr std::uint32_t kPageTokens = model::kPageTokens;

}  // namespace

Scheduler::Turn& Scheduler::turn_of(std::uint64_t identity) {
  for (Turn& turn : model_turns_) {
    if (turn.identity == identity) return turn;
  }
  return model_turns_.emplace_back(Turn{identity});
}

// Of the models with running sessions, the one whose last batch is longest ago; one whose weights
// are still being read comes after all others, since its step would hold them up.
StepRunner* Scheduler::next_model() {
  if (model_turns_.size() >= kModelTurnsMax) model_turns_.clear();
  StepRunner* next = nullptr;
  std::pair<bool, std::uint64_t> next_turn;
  for (const auto& session : running_) {
    StepRunner& runner = session->runner();
    const std::pair turn(runner.is_streaming(), turn_of(runner.identity()).turn);
    if (next != nullptr && turn >= next_turn) continue;
    next = &runner;
    next_turn = turn;
  }
  if (next != nullptr) turn_of(next->identity()).turn = ++turn_;
  return next;
}

void Scheduler::grow(std::uint64_t identity) {
  for (std::size_t i = 0; i < running_.size();) {
    Session& session = *running_[i];
    // A session that is gone leaves its place to the next one.
    if (session.runner().identity() != identity || grow_one(session)) ++i;
  }
}

// Gives a session the page that its next token needs, the youngest session's if there is no other.
// False if that was its own, or it failed: then it no longer runs.
bool Scheduler::grow_one(Session& session) {
  for (;;) {
    Result<> grown;
    const auto error = catch_error([&] { grown = session.pages.grow(session.n_tokens()); });
    if (error) {
      fail_job(session, *error);
      return false;
    }
    if (grown) return true;
    if (drop_drafters()) continue;
    Session& youngest = *running_.back();
    const bool is_own = &youngest == &session;
    preempt(youngest);
    if (is_own) return false;
  }
}

void Scheduler::plan(std::uint64_t identity) {
  rows_.clear();
  prompts_.clear();
  for (const auto& session : running_) {
    if (session->runner().identity() != identity) continue;
    if (session->n_pending() == 1) {
      rows_.push_back({session.get(), 1});
    } else {
      prompts_.push_back({&client_of(*session), session.get()});
    }
  }
  if (options_.speculation && prompts_.empty()) plan_drafts();
  if (!prompts_.empty()) plan_prompts(prompt_budget(identity));
}

Scheduler::StepTokens Scheduler::tokens_of_step() const {
  StepTokens tokens;
  for (const Row& row : rows_) {
    const bool decodes = row.session->n_pending() == 1;
    (decodes ? tokens.n_decoded : tokens.n_prompt) += row.n_tokens + row.n_drafted;
  }
  return tokens;
}

// Prompt chunks: clients in turn, each client's jobs by age, until the budget is spent.
void Scheduler::plan_prompts(std::uint32_t budget_tokens) {
  std::sort(prompts_.begin(), prompts_.end(), [](const Prompt& a, const Prompt& b) {
    if (a.client != b.client && a.client->prefilled_at != b.client->prefilled_at) {
      return a.client->prefilled_at < b.client->prefilled_at;
    }
    return a.session->id() < b.session->id();
  });
  for (const Prompt& prompt : prompts_) {
    if (budget_tokens == 0) return;
    adopt_cached(*prompt.session);
    if (is_computed_by_other_row(*prompt.session)) continue;
    const std::uint32_t n_tokens = std::min(budget_tokens, prompt.session->n_pending());
    rows_.push_back({prompt.session, n_tokens});
    budget_tokens -= n_tokens;
    prompt.client->prefilled_at = ++turn_;
  }
}

// Takes over what other sessions computed of this prompt since it was admitted.
void Scheduler::adopt_cached(Session& session) {
  const std::uint32_t n_known = session.pages.adopt(session.tokens, session.n_computed);
  if (!session.was_preempted) {
    session.n_cached += n_known - session.n_computed;
    totals_.cached_tokens += n_known - session.n_computed;
  }
  session.n_computed = n_known;
}

// Whether this batch already computes the page that this session needs next: several answers to one
// prompt arrive together, and all but one of them wait a step instead of computing it again.
bool Scheduler::is_computed_by_other_row(const Session& session) const {
  if (!session.pages.shares()) return false;
  const std::uint32_t begin = session.pages.n_shared_pages() * kPageTokens;
  const std::uint32_t end = begin + kPageTokens;
  if (end >= session.n_tokens()) return false;
  return std::any_of(rows_.begin(), rows_.end(), [&](const Row& row) {
    const Session& other = *row.session;
    return other.pages.cursor() == session.pages.cursor() &&
           other.n_computed + row.n_tokens >= end &&
           other.pages.adapters().key_before(end) == session.pages.adapters().key_before(end) &&
           std::equal(session.tokens.begin() + begin, session.tokens.begin() + end,
                      other.tokens.begin() + begin);
  });
}

// Runs the planned rows.  False if that failed, and with it all of their jobs.
bool Scheduler::run(StepRunner& runner) {
  const std::int64_t now_ns = clock_.now_monotonic_ns();
  for (const Row& row : rows_) {
    if (row.session->started_ns == 0) row.session->started_ns = now_ns;
  }
  Result<> done;
  const auto thrown = catch_error([&] { done = run_guarded(runner); });
  if (!thrown && done) {
    ++totals_.steps;
    (void)catch_error([&] { time_step(clock_.now_monotonic_ns() - now_ns); });
    return true;
  }
  const Error& error = thrown ? *thrown : done.error();
  for (const Row& row : rows_) fail_job(*row.session, error);
  return false;
}

// Room for the largest batch, once per model: what is there for others only grows.
Result<> Scheduler::reserve(StepRunner& runner) {
  if (std::ranges::find(reserved_, runner.identity()) != reserved_.end()) return {};
  if (reserved_.size() >= kModelTurnsMax) reserved_.clear();
  HEARTH_TRY_VOID(runner.reserve(options_.prefill_chunk_tokens + options_.n_batch_sessions_max +
                                 kSpeculativeBatchTokens));
  reserved_.push_back(runner.identity());
  return {};
}

Result<> Scheduler::run_guarded(StepRunner& runner) {
  HEARTH_TRY_VOID(reserve(runner));
  const std::size_t n_vocab = runner.n_vocab();
  std::size_t n_logits = 0;
  for (const Row& row : rows_) n_logits += row.n_logits();
  if (logits_.size() < n_logits * n_vocab) logits_.resize(n_logits * n_vocab);

  segments_.clear();
  float* logits = logits_.data();
  for (const Row& row : rows_) {
    const Session& session = *row.session;
    model::Segment segment;
    segment.tokens = row.n_drafted > 0
                         ? std::span<const TokenId>(session.run)
                         : std::span(session.tokens).subspan(session.n_computed, row.n_tokens);
    segment.position = session.n_computed;
    segment.pages = session.pages.addresses();
    segment.adapters = session.pages.adapters().uses();
    segment.state = session.pages.state();
    segment.n_logits = row.n_logits();
    if (segment.n_logits > 0) segment.logits = logits;
    logits += segment.n_logits * n_vocab;
    segments_.push_back(segment);
  }
  return runner.run(segments_);
}

void Scheduler::deliver(std::uint32_t n_vocab) {
  float* logits = logits_.data();
  for (const Row& row : rows_) {
    const std::size_t n = row.n_logits() * std::size_t{n_vocab};
    deliver_row(row, std::span(logits, n), n_vocab);
    logits += n;
  }
}

// Books what was computed; samples where the session came to its end.
void Scheduler::deliver_row(const Row& row, std::span<float> logits, std::uint32_t n_vocab) {
  Session& session = *row.session;
  session.n_computed += row.n_tokens;
  Result<Verdict> verdict = Verdict{};
  const std::uint32_t n_before = session.n_sampled();
  const auto error = catch_error([&] {
    session.pages.publish(session.tokens, session.n_computed);
    if (logits.empty()) return;
    if (session.first_token_ns == 0) session.first_token_ns = clock_.now_monotonic_ns();
    verdict = take_run(row, logits, n_vocab);
    if (row.n_drafted > 0) session.pages.publish(session.tokens, session.n_computed);
  });
  totals_.completion_tokens += session.n_sampled() - n_before;
  conclude(session, error, verdict);
}

// Samples the first token of a prompt that is known to its end: nothing of it is computed.
void Scheduler::deliver_known(Session& session) {
  session.started_ns = session.first_token_ns = clock_.now_monotonic_ns();
  Result<Verdict> verdict = Verdict{};
  const std::uint32_t n_before = session.n_sampled();
  const auto error = catch_error(
      [&] { verdict = session.take_logits(session.known_logits, scratch_, event_); });
  session.known_logits = {};
  totals_.completion_tokens += session.n_sampled() - n_before;
  conclude(session, error, verdict);
}

// Ends the session if sampling failed, or ended it.
void Scheduler::conclude(Session& session, const std::optional<Error>& error,
                         const Result<Verdict>& verdict) {
  if (error) {
    fail_job(session, *error);
  } else if (!verdict) {
    fail_job(session, verdict.error());
  } else if (verdict->is_finished) {
    finish(session, *verdict);
  }
}

// Samples the token that follows the pending one, and as long as each is what was drafted, the
// next: with the logits that it would have had in a step of its own.
Result<Verdict> Scheduler::take_run(const Row& row, std::span<float> logits,
                                    std::uint32_t n_vocab) {
  Session& session = *row.session;
  const auto next = [&](std::uint32_t i) {
    return session.take_logits(logits.subspan(std::size_t{i} * n_vocab, n_vocab), scratch_, event_);
  };
  if (snapshots_ != nullptr) snapshots_->note_logits(session, logits.first(n_vocab));
  HEARTH_TRY(Verdict verdict, next(0));
  std::uint32_t n_taken = 0;
  while (!verdict.is_finished && n_taken < row.n_drafted &&
         session.tokens.back() == session.run[n_taken + 1]) {
    ++n_taken;
    ++session.n_computed;
    HEARTH_TRY(verdict, next(n_taken));
  }
  learn_drafts(row, n_taken);
  return verdict;
}

}  // namespace hearth::engine
