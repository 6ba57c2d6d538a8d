// Fuzzes the path from a body to a request of either endpoint: what is accepted keeps its
// limits, what is refused is a 400 whose rendering is JSON again, and answers that repeat the
// input are JSON, too.
#include <simdjson.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "api/openai_request.h"
#include "api/openai_response.h"
#include "base/result.h"
#include "base/utf8.h"

namespace {

namespace openai = hearth::api::openai;

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
  HEARTH_CHECK(r.chat.stop.size() <= openai::kStopsMax);
  HEARTH_CHECK(s.logit_bias.size() <= openai::kLogitBiasMax);
  HEARTH_CHECK(r.chat.n_top_logprobs <= openai::kTopLogprobsMax);
  HEARTH_CHECK(!r.chat.model.empty() && r.chat.model.size() <= openai::kModelNameBytesMax);
  HEARTH_CHECK(r.chat.messages.empty() == (r.endpoint == openai::Endpoint::kCompletion));
  for (const auto& message : r.chat.messages) HEARTH_CHECK(hearth::is_valid_utf8(message.content));
}

void check_answer(openai::Endpoint endpoint, std::string_view input) {
  hearth::engine::TokenEvent token;
  token.token = {.id = 1, .bytes = std::string(input.substr(0, 50)), .logprob = -INFINITY};
  token.top = {token.token};
  const openai::AnswerHead head{.endpoint = endpoint, .id = "x", .model = std::string(input),
                                .logprobs = true};
  const openai::Choice choices[] = {{.text = std::string(input), .tokens = {token}}};
  check_json(openai::render_answer(head, choices, {}, {}));
  std::string stream;
  openai::ChunkRenderer(head).text(stream, 0, input, token, 0);
  if (stream.empty()) return;
  HEARTH_CHECK(stream.starts_with("data: ") && stream.ends_with("\n\n"));
  HEARTH_CHECK(stream.find_first_of("\r\n") == stream.size() - 2);
  check_json(stream.substr(6));
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
  return 0;
}
