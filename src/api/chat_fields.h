// Fields of chat requests that mean the same in every protocol, whatever they are called there.
//
// Each of the set_* sets a part of `request` from the value of the parameter `param`, checked as OpenAI's API checks
// it: the wrong type or a number out of range is an error that names the parameter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "api/request_values.h"
#include "hub/chat.h"

namespace hearth::api {

inline constexpr std::size_t kMessagesMax = 16'384;
inline constexpr std::size_t kStopsMax = 16;
inline constexpr std::size_t kStopBytesMax = 1'024;
inline constexpr std::size_t kModelNameBytesMax = 512;
inline constexpr std::size_t kToolsMax = 1'024;
inline constexpr std::size_t kFunctionNameBytesMax = 128;
inline constexpr std::uint32_t kTopLogprobsMax = 20;
inline constexpr std::int64_t kTokensMax = std::numeric_limits<std::int32_t>::max();

// For tables of fields (request_values.h) whose requests have the hub's part as `chat`.
template <auto Member, class R>
Parsed<> set_chat_bool(R& request, std::string_view param, dom::element value) {
  HEARTH_TRY(request.chat.*Member, as_bool(param, value));
  return {};
}
// One of the functions below, which set a field of the hub's part.
template <auto Set, class R>
Parsed<> set_field(R& request, std::string_view param, dom::element value) {
  return Set(request.chat, param, value);
}

Parsed<> set_model(hub::ChatRequest& request, std::string_view param, dom::element value);
Parsed<> set_max_tokens(hub::ChatRequest& request, std::string_view param, dom::element value);
Parsed<> set_seed(hub::ChatRequest& request, std::string_view param, dom::element value);
Parsed<> set_temperature(hub::ChatRequest& request, std::string_view param, dom::element value);  // 0 to 2.
Parsed<> set_top_p(hub::ChatRequest& request, std::string_view param, dom::element value);
Parsed<> set_top_k(hub::ChatRequest& request, std::string_view param, dom::element value);
Parsed<> set_top_logprobs(hub::ChatRequest& request, std::string_view param, dom::element value);
// A string or an array of strings.
Parsed<> set_stop(hub::ChatRequest& request, std::string_view param, dom::element value);

// 1 to kFunctionNameBytesMax letters, digits, '_', '-' or '.'.
Parsed<std::string> function_name(std::string_view param, dom::element value);
// A tool from what clients say of it; the parts are JSON values, `parameters` a schema.
hub::Tool make_tool(std::string name, std::optional<dom::element> description,
                    std::optional<dom::element> parameters);
// When all is set: a choice needs the tools that it speaks of.
Parsed<> check_tool_choice(const hub::ChatRequest& request);

// A parser holds some ten times the bytes of the largest body it saw: each thread keeps one for bodies
// up to a size, and a larger body gets one of its own.  Calls `parse(parser)`.
inline constexpr std::size_t kParserKeptBytes = std::size_t{1} << 20;
template <class Parse>
auto with_parser(std::size_t body_bytes, Parse parse) {
  thread_local dom::parser kept;
  if (body_bytes <= kParserKeptBytes) return parse(kept);
  dom::parser once;
  return parse(once);
}

}  // namespace hearth::api
