// Drafts of what sessions may say next: from their own text, or by a smaller model.
//
// A draft model reads along with the session's tokens in pages of its own, taken like all others
// but the first to be given up: nobody waits or is preempted for a guess.  Its passes are batches
// over all rows that it drafts for; the first one catches up with what was sampled since.  It
// chooses as the session itself would, with the draw that belongs to the token's number, so that
// two models that agree choose the same token at any temperature.
#include <algorithm>
#include <limits>

#include "engine/catch_error.h"
#include "engine/scheduler.h"

namespace hearth::engine {
namespace {

constexpr std::uint32_t kPageTokens = model::kPageTokens;
constexpr std::size_t kDraftAccountsMax = 64;
// Tokens that the draft model may be behind in a pass whose time is taken for that of one token.
constexpr std::uint32_t kTimedTokensMax = 2;

}  // namespace

// Shares what room a small batch has between its sessions, oldest first.
// A model with a state can't take back what it read of a draft that is refused.
void Scheduler::plan_drafts() {
  if (rows_.empty() || rows_.front().session->pages.state() != nullptr) return;
  auto n_batch = static_cast<std::uint32_t>(rows_.size());
  for (Row& row : rows_) {
    if (n_batch >= kSpeculativeBatchTokens) return;
    row.n_drafted = draft(*row.session, kSpeculativeBatchTokens - n_batch);
    n_batch += row.n_drafted;
  }
  plan_model_drafts(n_batch);
}

// Drafts at most n_max tokens into session.run; returns how many.  Without a page to spare there are
// fewer, or none: nobody is preempted for a guess.
std::uint32_t Scheduler::draft(Session& session, std::uint32_t n_max) {
  const std::uint32_t n_tokens = session.n_tokens();
  session.run.clear();
  (void)catch_error([&] {
    session.lookup.propose(session.tokens, std::min(n_max, session.n_room() - 1), session.run);
    if (session.run.empty()) return;
    const auto n_drafted = static_cast<std::uint32_t>(session.run.size());
    if (!session.pages.grow(n_tokens + n_drafted)) {
      session.run.resize(std::min(n_drafted, session.pages.n_pages() * kPageTokens - n_tokens));
    }
    session.run.insert(session.run.begin(), session.tokens.back());
  });
  return session.run.empty() ? 0 : static_cast<std::uint32_t>(session.run.size()) - 1;
}

DraftAccount& Scheduler::account_of(const Session& session) {
  const auto key = std::pair(session.runner().identity(), session.drafter->runner->identity());
  if (draft_accounts_.size() >= kDraftAccountsMax && !draft_accounts_.contains(key)) {
    draft_accounts_.clear();
  }
  return draft_accounts_[key];
}

void Scheduler::bar_drafter(Session& session) {
  session.drafter->close(session.tokens);
  session.drafter->is_barred = true;
}

// Gives up the pages of all draft models; false if they had none.
bool Scheduler::drop_drafters() {
  bool had_pages = false;
  for (const auto& session : running_) {
    if (session->drafter == nullptr || !session->drafter->pages.is_open()) continue;
    bar_drafter(*session);
    had_pages = true;
  }
  return had_pages;
}

// Rows without a draft of their own text get one by their draft models.
void Scheduler::plan_model_drafts(std::uint32_t n_batch) {
  drafting_.clear();
  std::uint32_t budget_tokens = options_.prefill_chunk_tokens;
  for (Row& row : rows_) {
    if (row.session->drafter == nullptr || row.session->drafter->is_barred) continue;
    if (row.n_drafted > 0 || n_batch >= kSpeculativeBatchTokens || budget_tokens == 0) continue;
    const StepRunner& runner = *row.session->drafter->runner;
    const bool is_other = !drafting_.empty() &&
                          drafting_.front().row->session->drafter->runner->identity() !=
                              runner.identity();
    if (is_other) continue;
    const auto error = catch_error([&] {
      n_batch += plan_model_draft(row, kSpeculativeBatchTokens - n_batch, budget_tokens);
    });
    if (error) bar_drafter(*row.session);
  }
  if (drafting_.empty()) return;
  Result<> done;
  const auto error = catch_error([&] { done = run_draft_passes(); });
  if (!error && done) return;
  for (const DraftRow& drafting : drafting_) {
    bar_drafter(*drafting.row->session);
    drafting.row->session->run.clear();
    drafting.row->n_drafted = 0;
  }
}

// Decides how many tokens to draft for a row, and takes their pages; returns how many.
std::uint32_t Scheduler::plan_model_draft(Row& row, std::uint32_t n_max,
                                          std::uint32_t& budget_tokens) {
  Session& session = *row.session;
  DraftSession& drafter = *session.drafter;
  DraftAccount& account = account_of(session);
  account.count_step();
  const std::uint32_t n_tokens = session.n_tokens();
  n_max = std::min({n_max, session.n_room() - 1, kDraftTokensMax});
  const bool fits = n_tokens + n_max <= drafter.runner->n_context();
  if (n_max == 0 || !fits) return 0;
  if (!drafter.has_trust) drafter.trust = account.first_trust();
  drafter.has_trust = true;

  std::uint32_t n_wanted = account.n_worthwhile(drafter.trust, 0, session.n_sampled());
  if (n_wanted == 0) {
    drafter.trust.recover();
    return 0;
  }
  if (!drafter.pages.is_open()) {
    const auto n_known = drafter.pages.open(session.tokens, 0);
    if (!n_known) {
      drafter.is_barred = true;
      return 0;
    }
    drafter.n_computed = *n_known;
  }
  const std::uint32_t n_missing = n_tokens - 1 - drafter.n_computed;
  n_wanted = std::min(n_max, account.n_worthwhile(drafter.trust, n_missing, session.n_sampled()));
  if (n_wanted == 0) return 0;
  std::uint32_t n_catching_up = n_missing + 1;
  if (n_catching_up > budget_tokens) {  // The rest in the next step, and then drafts.
    n_catching_up = budget_tokens;
    n_wanted = 0;
  }
  if (!drafter.pages.grow(n_tokens + n_wanted) || !session.pages.grow(n_tokens + n_wanted)) {
    bar_drafter(session);
    return 0;
  }
  session.run.assign(1, session.tokens.back());
  account.pay_catching_up(n_catching_up - 1);
  budget_tokens -= n_catching_up;
  drafting_.push_back({&row, n_wanted, n_catching_up});
  return n_wanted;
}

// Pass i drafts the i-th token of each row that wants as many.
Result<> Scheduler::run_draft_passes() {
  StepRunner& runner = *drafting_.front().row->session->drafter->runner;
  HEARTH_TRY_VOID(reserve(runner));
  std::uint32_t n_most = 1;
  for (const DraftRow& drafting : drafting_) n_most = std::max(n_most, drafting.n_wanted);
  for (std::uint32_t pass = 0; pass < n_most; ++pass) {
    HEARTH_TRY_VOID(run_draft_pass(runner, pass));
  }
  for (const DraftRow& drafting : drafting_) {
    Session& session = *drafting.row->session;
    drafting.row->n_drafted = static_cast<std::uint32_t>(session.run.size()) - 1;
    drafting.row->is_by_model = true;
    session.drafter->pages.publish(session.tokens, session.drafter->n_computed);
  }
  return {};
}

Result<> Scheduler::run_draft_pass(StepRunner& runner, std::uint32_t pass) {
  const auto& target = drafting_.front().row->session->runner();
  // The draft model may have fewer or more tokens to fill up its vocabulary than its target has.
  const std::size_t stride = std::max(runner.n_vocab(), target.n_vocab());
  draft_logits_.resize(std::max(draft_logits_.size(), drafting_.size() * stride));
  segments_.clear();
  std::uint32_t n_tokens = 0;
  float* logits = draft_logits_.data();
  for (DraftRow& drafting : drafting_) {
    Session& session = *drafting.row->session;
    if (pass > 0 && drafting.n_wanted <= pass) continue;
    DraftSession& drafter = *session.drafter;
    model::Segment segment;
    segment.tokens = pass == 0 ? std::span<const TokenId>(session.tokens)
                                     .subspan(drafter.n_computed, drafting.n_catching_up)
                               : std::span<const TokenId>(session.run).subspan(pass, 1);
    segment.position = pass == 0 ? drafter.n_computed : session.n_tokens() - 1 + pass;
    segment.pages = drafter.pages.addresses();
    segment.n_logits = drafting.n_wanted > pass ? 1 : 0;
    for (const TokenId id : segment.tokens) {
      if (static_cast<std::uint32_t>(id) < runner.n_vocab()) continue;
      return fail(Code::kUnsupported, "the draft model has no such token");
    }
    if (segment.n_logits > 0) {
      segment.logits = logits;
      logits += stride;
    }
    n_tokens = std::max(n_tokens, static_cast<std::uint32_t>(segment.tokens.size()));
    segments_.push_back(segment);
  }
  const std::int64_t started_ns = clock_.now_monotonic_ns();
  HEARTH_TRY_VOID(runner.run(segments_));
  if (n_tokens <= kTimedTokensMax) {
    account_of(*drafting_.front().row->session)
        .time_pass(clock_.now_monotonic_ns() - started_ns);
  }
  return take_guesses(runner, pass, stride);
}

Result<> Scheduler::take_guesses(const StepRunner& runner, std::uint32_t pass,
                                 std::size_t stride) {
  float* logits = draft_logits_.data();
  for (DraftRow& drafting : drafting_) {
    Session& session = *drafting.row->session;
    if (pass == 0) session.drafter->n_computed += drafting.n_catching_up;
    if (drafting.n_wanted <= pass) continue;
    std::fill(logits + runner.n_vocab(), logits + stride, -std::numeric_limits<float>::infinity());
    const std::span<float> row(logits, session.runner().n_vocab());
    HEARTH_TRY_VOID(measure_logits(row));
    session.run.push_back(session.guess(row, pass, scratch_));
    logits += stride;
  }
  return {};
}

// What came of a row's drafts.
void Scheduler::learn_drafts(const Row& row, std::uint32_t n_taken) {
  if (row.n_drafted == 0) return;
  Session& session = *row.session;
  totals_.drafted_tokens += row.n_drafted;
  totals_.accepted_tokens += n_taken;
  if (!row.is_by_model) return session.lookup.learn(row.n_drafted, n_taken);
  // The draft model has computed its own drafts but the last; those that were taken stand.
  session.drafter->n_computed += std::min(n_taken, row.n_drafted - 1);
  session.drafter->trust.learn(row.n_drafted, n_taken);
  account_of(session).learn(row.n_drafted, n_taken);
}

// A step that only decodes tells how long one takes.
void Scheduler::time_step(std::int64_t ns) {
  std::uint32_t n_drafted = 0;
  const Session* drafted_for = nullptr;
  for (const Row& row : rows_) {
    if (row.n_tokens > 1) return;
    n_drafted += row.n_drafted;
    if (row.session->drafter != nullptr) drafted_for = row.session;
  }
  if (drafted_for != nullptr) account_of(*drafted_for).time_step(ns, n_drafted);
}

}  // namespace hearth::engine
