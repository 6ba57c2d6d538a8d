#include "api/answer_writer.h"

#include <simdjson.h>

namespace hearth::api {

void append_tool_call(std::vector<hub::ToolCall>& calls, const hub::ToolCallPiece& piece) {
  if (piece.index >= calls.size()) calls.resize(piece.index + 1);
  hub::ToolCall& call = calls[piece.index];
  call.id += piece.id;
  call.name += piece.name;
  call.arguments += piece.arguments;
}

std::string arguments_object(const std::string& arguments) {
  simdjson::dom::parser parser;
  simdjson::dom::element value;
  if (parser.parse(arguments).get(value) == simdjson::SUCCESS && value.is_object()) return arguments;
  return "{}";
}

}  // namespace hearth::api
