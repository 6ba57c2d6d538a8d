// Log-probabilities of tokens, as OpenAI's API has them and others took them over.
#pragma once

#include <span>

#include "api/json_writer.h"
#include "engine/engine.h"

namespace hearth::api {

// JSON has no minus infinity: a token that could not be has -9999.
float finite_logprob(float logprob);

// [{"token", "logprob", "bytes", "top_logprobs": [{"token", "logprob", "bytes"}]}]
void write_logprobs(JsonWriter& json, std::span<const engine::TokenEvent> tokens);

}  // namespace hearth::api
