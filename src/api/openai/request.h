// OpenAI's chat and text completion requests: JSON in, a hub::ChatRequest out.
//
// Beyond this file nobody sees the request's JSON.  What the API defines is checked as the API checks
// it (type, range, the `param` that is wrong); what it does not define is skipped, since
// clients send fields of every other server, too.  The extensions of local servers that change
// sampling are known: top_k, min_p, typical_p, repetition_penalty or repeat_penalty.
//
// Tools and what belongs to them are read by openai/tools.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "api/error_status.h"
#include "hub/chat.h"

namespace hearth::api::openai {

inline constexpr std::size_t kLogitBiasMax = 4'096;

// kTemplate: a chat that is only laid out, and whose model may be left to the hub.
enum class Endpoint : std::uint8_t { kChat, kCompletion, kTemplate };

struct Request {
  Endpoint endpoint = Endpoint::kChat;
  hub::ChatRequest chat;      // `client` is left for the server to fill.
  bool stream = false;
  bool include_usage = false;  // stream_options.include_usage
  bool logprobs = false;
  bool echo = false;           // Completions: repeat the prompt.
};

// Threading: any thread; each keeps a parser of its own.
std::expected<Request, ApiError> parse_request(Endpoint endpoint, std::string_view body);

// "never", "auto" or "always", as in the header `x-hearth-advice` and the field `hearth.advice`;
// an ApiError that names `param` for anything else.
std::expected<hub::AdviceMode, ApiError> parse_advice(std::string_view text, std::string_view param);

}  // namespace hearth::api::openai
