// From tokens to a parser's events, and from these to a sink's calls.
#pragma once

#include <cstdint>

#include "hub/hub.h"
#include "hub/run.h"

namespace hearth::hub {

// Takes apart what a piece's token added, and notes it in the answer, whether it is shown yet or not.
void read_piece(Answer& answer, Piece& piece);
// What the parser held back, if there is one; it is no longer needed.
void read_end(Answer& answer, engine::FinishReason reason, Piece& piece);

// Tells the sink.  A token's log-probabilities go with its text, and where it has none yet, with an
// empty one; tokens of thinking and of calls have no place in the API's list.
void show_piece(ChatSink& sink, std::uint32_t choice, Answer& answer, const Piece& piece);

}  // namespace hearth::hub
