// From a parser's events to a sink's calls.
#pragma once

#include <cstdint>
#include <vector>

#include "hub/hub.h"
#include "hub/run.h"

namespace hearth::hub {

// Adds to the draft's text and counts calls, whether they are shown yet or not.
void note_events(Answer& answer, const std::vector<text::AnswerEvent>& events);

// Tells the sink.  A token's log-probabilities go with its text, and where it has none yet, with an
// empty one; tokens of thinking and of calls have no place in the API's list.
void show_piece(ChatSink& sink, std::uint32_t choice, Answer& answer, const Piece& piece);

}  // namespace hearth::hub
