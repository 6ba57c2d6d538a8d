// Ollama's answers: one JSON object, or one per line as the answer comes; errors in its shape.
#pragma once

#include <memory>
#include <string>

#include "api/answer_writer.h"

namespace hearth::api::ollama {

// What an answer has to know of its request.
struct Asked {
  std::string model;
  bool is_chat = true;      // Else "response" holds the text.
  bool only_loads = false;  // Nothing was asked.
  bool has_logprobs = false;
};

std::unique_ptr<AnswerWriter> make_chat_writer(const AnswerMark& mark, const Asked& asked);

// {"error":"..."}
std::string render_error(const ApiError& error);

}  // namespace hearth::api::ollama
