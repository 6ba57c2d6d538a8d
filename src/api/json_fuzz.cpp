// Fuzzes the path from a body to a request of each protocol: what is accepted keeps its
// limits, what is refused is a 400 whose rendering is JSON again, and answers that repeat the
// input are JSON, too.
#include <simdjson.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "api/anthropic/messages_request.h"
#include "api/anthropic/messages_writer.h"
#include "api/chat_fields.h"
#include "api/ollama/chat_request.h"
#include "api/ollama/chat_writer.h"
#include "api/ollama/pull.h"
#include "api/openai/request.h"
#include "api/openai/response.h"
#include "api/responses/responses_request.h"
#include "api/tokens.h"
#include "base/result.h"
#include "base/utf8.h"

namespace {

namespace openai = hearth::api::openai;
namespace ollama = hearth::api::ollama;

void check_json(const std::string& text) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  HEARTH_CHECK(parser.parse(text).get(root) == simdjson::SUCCESS);
}

void check_request(const openai::Request& r) {
  const auto& s = r.chat.sampling;
  HEARTH_CHECK(s.temperature >= 0 && s.temperature <= 2);
  HEARTH_CHECK(s.top_p > 0 && s.top_p <= 1 && s.typical_p > 0 && s.typical_p <= 1);
  HEARTH_CHECK(s.min_p >= 0 && s.min_p <= 1 && s.repetition_penalty > 0);
  HEARTH_CHECK(r.chat.n >= 1 && r.chat.n <= hearth::hub::kChoicesMax);
  HEARTH_CHECK(r.chat.stop.size() <= hearth::api::kStopsMax);
  HEARTH_CHECK(s.logit_bias.size() <= openai::kLogitBiasMax);
  HEARTH_CHECK(r.chat.n_top_logprobs <= hearth::api::kTopLogprobsMax);
  HEARTH_CHECK(!r.chat.model.empty() && r.chat.model.size() <= hearth::api::kModelNameBytesMax);
  HEARTH_CHECK(r.chat.messages.empty() == (r.endpoint == openai::Endpoint::kCompletion));
  for (const auto& message : r.chat.messages) HEARTH_CHECK(hearth::is_valid_utf8(message.content));
}

void check_answer(openai::Endpoint endpoint, std::string_view input) {
  hearth::engine::TokenEvent token;
  token.token = {.id = 1, .bytes = std::string(input.substr(0, 50)), .logprob = -INFINITY};
  token.top = {token.token};
  const openai::AnswerHead head{.endpoint = endpoint, .id = "x", .model = std::string(input),
                                .logprobs = true};
  const hearth::api::Choice choices[] = {{.text = std::string(input), .tokens = {token}}};
  check_json(openai::render_answer(head, choices, {}, {}));
  std::string stream;
  openai::ChunkRenderer(head).text(stream, 0, input, token, 0);
  if (stream.empty()) return;
  HEARTH_CHECK(stream.starts_with("data: ") && stream.ends_with("\n\n"));
  HEARTH_CHECK(stream.find_first_of("\r\n") == stream.size() - 2);
  check_json(stream.substr(6));
}

struct Protocol {
  std::expected<hearth::api::ChatCall, hearth::api::ApiError> (*parse)(std::string_view body);
  std::string (*render_error)(const hearth::api::ApiError& error);
};

constexpr Protocol kProtocols[] = {
    {hearth::api::anthropic::parse_call, hearth::api::anthropic::render_error},
    {hearth::api::anthropic::parse_count, hearth::api::anthropic::render_error},
    {hearth::api::responses::parse_call, hearth::api::render_error},
    {[](std::string_view body) { return ollama::parse_call(ollama::Endpoint::kChat, body); }, ollama::render_error},
    {[](std::string_view body) { return ollama::parse_call(ollama::Endpoint::kGenerate, body); },
     ollama::render_error},
};

void check_call(const Protocol& protocol, std::string_view body) {
  const auto call = protocol.parse(body);
  if (!call) {
    HEARTH_CHECK(call.error().status == 400);
    return check_json(protocol.render_error(call.error()));
  }
  HEARTH_CHECK(call->chat.messages.size() <= 3 * body.size());
  for (const auto& message : call->chat.messages) HEARTH_CHECK(hearth::is_valid_utf8(message.content));
  hearth::api::Choice choice{.text = std::string(body.substr(0, 200))};
  for (const auto& tool : call->chat.tools) choice.tool_calls.push_back({"id", tool.name, tool.parameters});
  check_json(call->make_writer({.id = "x"})->whole({&choice, 1}, {}, {}));
}

// Something of the body, or an error that names what is wrong with it.
template <class T>
void check_parsed(const std::expected<T, hearth::api::ApiError>& parsed) {
  if (parsed) return;
  HEARTH_CHECK(parsed.error().status == 400);
  check_json(hearth::api::render_error(parsed.error()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  for (const auto endpoint : {openai::Endpoint::kChat, openai::Endpoint::kCompletion}) {
    const auto request = openai::parse_request(endpoint, body);
    if (request) {
      check_request(*request);
    } else {
      HEARTH_CHECK(request.error().status == 400);
      check_json(hearth::api::render_error(request.error()));
    }
    check_answer(endpoint, body.substr(0, 200));
  }
  check_parsed(openai::parse_request(openai::Endpoint::kTemplate, body));
  check_parsed(hearth::api::tokens::parse_tokenize(body));
  check_parsed(hearth::api::tokens::parse_detokenize(body));
  check_parsed(hearth::api::ollama::parse_pull(body));
  for (const Protocol& protocol : kProtocols) check_call(protocol, body);
  return 0;
}
