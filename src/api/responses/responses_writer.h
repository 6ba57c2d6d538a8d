// OpenAI's responses: output items as a whole, or as typed events with numbers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "api/answer_writer.h"

namespace hearth::api::responses {

// What an answer repeats of its request, and what it needs of it to be written.
struct Asked {
  std::string model;
  std::string instructions;
  std::string tools_json = "[]", tool_choice_json = "\"auto\"", format_json = R"({"type":"text"})";
  std::vector<std::string> custom_tools;  // Their calls take free text, not JSON.
  std::string effort;                     // Of reasoning; empty: unsaid.
  std::uint32_t max_output_tokens = 0;    // 0: unsaid.
  float temperature = 1, top_p = 1;
  bool is_stored = true, calls_in_parallel = true;
  bool has_logprobs = false;
};

std::unique_ptr<AnswerWriter> make_responses_writer(const AnswerMark& mark, const Asked& asked);

// A custom tool's free text as the arguments that its call has inside of the hub, {"input": TEXT}, and back;
// text that is no such object is the input itself.
std::string custom_arguments(std::string_view input);
std::string custom_input(const std::string& arguments);

}  // namespace hearth::api::responses
