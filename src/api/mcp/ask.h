// A question to the hub on behalf of a tool.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "api/json_writer.h"
#include "api/mcp/tools.h"
#include "hub/hub.h"

namespace hearth::api::mcp {

struct Answered {
  std::string text;
  engine::FinishReason reason = engine::FinishReason::kStop;
  hub::Receipt receipt;
};

// Called once, from a thread of the hub's.
using AnswerDone = std::function<void(Result<Answered>)>;

// Sampling and system prompt, from arguments that several tools share; the question becomes the last message.
Parsed<hub::ChatRequest> read_question(dom::object arguments);

// Asks, tells `run` how it goes, and hands the answer to `done`.  May wait as long as Hub::chat() does.
void ask_hub(const ToolHost& host, hub::ChatRequest request, const std::shared_ptr<ToolRun>& run, AnswerDone done);

// "answer", "finish_reason" and "receipt" of an open object.
void write_answer(JsonWriter& json, const Answered& answer);

}  // namespace hearth::api::mcp
