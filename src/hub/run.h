// One request's state from admission to receipt, and the messages that move it on.
//
//   kLoading --> kPreparing --> kDrafting --+-----------------> kStoring --> (gone)
//                                           |       (kSecond comes between, where there is one)
//                                           +--> kAdvising --> kPreparingFinal --> kFinishing -->
//                                           kStoring
//   kLoading --> kUpstream --> kStoring
//
// A run belongs to the conductor's thread alone.  Everybody else (engine, loader,
// preparer, adviser, ledger, callers) only sends messages that name it; a message that
// comes too late for its run finds another stage, or nothing, and is dropped.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "advisor/adviser.h"
#include "advisor/confidence.h"
#include "advisor/gate/learned.h"
#include "hub/advice_policy.h"
#include "hub/hub.h"
#include "hub/model_shelf.h"
#include "hub/prompt.h"
#include "hub/upstream/cleared_request.h"
#include "hub/upstream/upstream_desk.h"

namespace hearth::hub {

enum class Stage : std::uint8_t {
  kLoading,         // The model is on its way.
  kPreparing,       // The prompt is laid out and tokenised.
  kDrafting,        // The local model answers.
  kSecond,          // A second local model answers, to be held against the draft.
  kAdvising,        // The adviser was asked.
  kPreparingFinal,  // The prompt with the advice is laid out.
  kFinishing,       // The local model answers with the advice.
  kUpstream,        // Another server answers.
  kStoring,         // The receipt is on its way into the ledger.
};

// What a token, or the end, added to an answer.
struct Piece {
  engine::TokenEvent token;  // `token.text` is not taken apart yet: `events` is.
  std::vector<text::AnswerEvent> events;
};

// One of the answers that a request asked for.
struct Answer {
  explicit Answer(bool has_unsure_token) : meter(has_unsure_token) {}

  // Null: all text is the answer's.
  std::unique_ptr<text::AnswerParser> parser;
  std::vector<std::string> called;  // The tools' names: one for each call, shown or held.
  std::string call_arguments;       // Of all calls, one after the other.
  std::uint32_t n_calls_shown = 0;
  bool is_in_text = true;  // What was shown last was neither thinking nor a call.

  engine::JobId job{};
  bool is_running = false;
  bool is_held = false;  // Text waits until the advice question is settled.
  std::vector<Piece> held;
  std::string text;  // The draft: without thinking and calls.
  advisor::ConfidenceMeter meter;
  engine::FinishReason reason = engine::FinishReason::kStop;
  std::string stop_string;  // That ended it.
  bool ended_unsure = false;
  bool is_choice_ended = false;  // The sink knows.
};

struct Run {
  RequestId id{};
  ChatRequest request;
  std::shared_ptr<ChatSink> sink;
  std::vector<store::CatalogueEntry> candidates;
  std::vector<AdapterEntry> adapter_entries;
  std::optional<UpstreamTarget> upstream;  // Answers; else the engine does.
  std::string rule;                        // What allowed that, for the ledger.
  AdviceRules rules;
  std::shared_ptr<const advisor::gate::Learned> learned;  // About the model; set once the prompt is ready.
  bool needs_whole_answer = false;  // No text is shown before the answer's end,
  bool may_call_risky = false;      // and no call either: a risky one may come.
  std::vector<store::CatalogueEntry> second_candidates;  // Of the second model; empty: none is asked.
  ReadyModelPtr second_model;
  Answer second{/*has_unsure_token=*/false};  // What it says.
  std::int64_t admitted_ns = 0;

  Stage stage = Stage::kLoading;
  ReadyModelPtr model;
  std::vector<engine::AdapterChoice> adapters;
  std::shared_ptr<text::grammar::Constraint> constraint;  // Of the request's grammar, if it has one.
  std::vector<Answer> answers;
  std::optional<advisor::AdviceId> advice_id;
  std::optional<UpstreamAskId> upstream_id;
  double upstream_began_ms = 0;  // When the first piece came.
  std::string advice_text;
  bool drafts_on = false;  // The draft goes on while the adviser is asked.
  std::optional<Error> draft_error;  // How it ended meanwhile, if it failed.
  std::optional<advisor::Advice> no_advice;  // While it goes on after that has failed: how.
  bool is_cancelled = false;  // While the adviser still has to say what it spent.
  bool has_visible_text = false;
  double submitted_ms = 0;  // When the engine got the draft, after admission.
  double decode_ms = 0;
  Receipt receipt;
  std::optional<Error> error;  // Ends the run with on_error once the receipt is stored.
};

// What became of a question, as receipts have it.
AdviceOutcome outcome_of(advisor::AdviceStatus status);

struct Admitted {
  std::unique_ptr<Run> run;
};
struct ModelReady {
  RequestId run;
  Result<Loaded> loaded;
};
struct SecondReady {
  RequestId run;
  Result<Loaded> loaded;
};
struct PromptReady {
  RequestId run;
  Stage stage;
  Result<Prompt> prompt;
  std::shared_ptr<text::grammar::Constraint> constraint;
  std::shared_ptr<const advisor::gate::Learned> learned;
};
struct TokenMade {
  RequestId run;
  Stage stage;
  std::uint32_t choice;
  engine::TokenEvent event;
};
struct JobEnded {
  RequestId run;
  Stage stage;
  std::uint32_t choice;
  engine::FinishEvent event;
};
struct AdviceCame {
  RequestId run;
  advisor::Advice advice;
};
struct RequestCleared {
  RequestId run;
  Result<ClearedRequest> cleared;
};
struct DepartureNear {
  RequestId run;
  advisor::DeparturePtr departure;
};
struct UpstreamSaid {
  RequestId run;
  UpstreamPiece piece;
};
struct UpstreamStatus {
  RequestId run;
  std::string text;
};
struct UpstreamEnded {
  RequestId run;
  UpstreamEnd end;
};
struct ReceiptStored {
  RequestId run;
};
struct CancelRun {
  RequestId run;
};
struct CancelAll {};
struct Probe {};
struct ProbeAnswered {};
struct Stop {};

using RunMessage = std::variant<Admitted, ModelReady, SecondReady, PromptReady, TokenMade, JobEnded, AdviceCame,
                                RequestCleared, DepartureNear, UpstreamSaid, UpstreamStatus, UpstreamEnded, ReceiptStored, CancelRun, CancelAll, Probe, ProbeAnswered, Stop>;

}  // namespace hearth::hub
