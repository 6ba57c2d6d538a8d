#include "hub/show_piece.h"

#include <string>
#include <utility>

#include "hub/call_id.h"

namespace hearth::hub {
namespace {

using text::AnswerEvent;
using text::AnswerEventKind;

void show_event(ChatSink& sink, std::uint32_t choice, Answer& answer, const AnswerEvent& event) {
  switch (event.kind) {
    case AnswerEventKind::kText:
      sink.on_text(choice, event.text, {});
      return;
    case AnswerEventKind::kReasoning:
      sink.on_reasoning(choice, event.text);
      return;
    case AnswerEventKind::kCallStart:
      sink.on_tool_call(choice, {.index = answer.n_calls_shown++,
                                 .id = make_call_id(),
                                 .name = event.text});
      return;
    case AnswerEventKind::kArguments:
      sink.on_tool_call(choice, {.index = answer.n_calls_shown - 1, .arguments = event.text});
      return;
    case AnswerEventKind::kCallEnd:
      return;
  }
}

bool is_text(AnswerEventKind kind) { return kind == AnswerEventKind::kText; }

// Adds to the text and the calls.
void note_events(Answer& answer, const std::vector<AnswerEvent>& events) {
  for (const AnswerEvent& event : events) {
    if (is_text(event.kind)) answer.text.append(event.text);
    if (event.kind == AnswerEventKind::kCallStart) answer.called.push_back(event.text);
    if (event.kind == AnswerEventKind::kArguments) answer.call_arguments += event.text;
  }
}

}  // namespace

void read_piece(Answer& answer, Piece& piece) {
  if (answer.parser != nullptr) {
    answer.parser->push(piece.token.text, piece.events);
  } else if (!piece.token.text.empty()) {
    piece.events.push_back({AnswerEventKind::kText, piece.token.text});
  }
  note_events(answer, piece.events);
}

void read_end(Answer& answer, engine::FinishReason reason, Piece& piece) {
  if (answer.parser == nullptr) return;
  answer.parser->finish(reason != engine::FinishReason::kStop, piece.events);
  answer.parser.reset();
  note_events(answer, piece.events);
}

void show_piece(ChatSink& sink, std::uint32_t choice, Answer& answer, const Piece& piece) {
  bool is_token_shown = false;
  for (const AnswerEvent& event : piece.events) {
    answer.is_in_text = is_text(event.kind) || event.kind == AnswerEventKind::kCallEnd;
    if (!is_text(event.kind) || std::exchange(is_token_shown, true)) {
      show_event(sink, choice, answer, event);
    } else {
      sink.on_text(choice, event.text, piece.token);
    }
  }
  const bool has_token = !piece.token.token.bytes.empty();
  if (piece.events.empty() && has_token && answer.is_in_text) sink.on_text(choice, "", piece.token);
}

}  // namespace hearth::hub
