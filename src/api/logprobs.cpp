#include "api/logprobs.h"

namespace hearth::api {
namespace {

constexpr float kLogprobMin = -9999.0F;

void write_token(JsonWriter& json, const engine::TokenLogprob& token) {
  json.key("token").value(token.bytes);
  json.key("logprob").value(finite_logprob(token.logprob));
  json.key("bytes").begin_array();
  for (const char byte : token.bytes) json.value(static_cast<unsigned>(static_cast<unsigned char>(byte)));
  json.end_array();
}

}  // namespace

float finite_logprob(float logprob) { return logprob > kLogprobMin ? logprob : kLogprobMin; }

void write_logprobs(JsonWriter& json, std::span<const engine::TokenEvent> tokens) {
  json.begin_array();
  for (const engine::TokenEvent& event : tokens) {
    json.begin_object();
    write_token(json, event.token);
    json.key("top_logprobs").begin_array();
    for (const engine::TokenLogprob& other : event.top) {
      json.begin_object();
      write_token(json, other);
      json.end_object();
    }
    json.end_array().end_object();
  }
  json.end_array();
}

}  // namespace hearth::api
