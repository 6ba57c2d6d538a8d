#include "api/answer_writer.h"

namespace hearth::api {

void append_tool_call(std::vector<hub::ToolCall>& calls, const hub::ToolCallPiece& piece) {
  if (piece.index >= calls.size()) calls.resize(piece.index + 1);
  hub::ToolCall& call = calls[piece.index];
  call.id += piece.id;
  call.name += piece.name;
  call.arguments += piece.arguments;
}

}  // namespace hearth::api
