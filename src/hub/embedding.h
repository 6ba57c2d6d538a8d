// What an embedding request and its answer are, once the wire format is gone.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

namespace hearth::hub {

inline constexpr std::size_t kEmbeddingTextsMax = 2'048;     // Of one request.
inline constexpr std::size_t kEmbeddingTokensMax = 300'000;  // Of all its texts.

// A text, which gets the model's own first and last token, or tokens, which are taken as they are.
using EmbeddingInput = std::variant<std::string, std::vector<text::TokenId>>;

struct EmbeddingRequest {
  std::string model;  // A catalogue name; "auto" and "local" are for chat.
  std::vector<EmbeddingInput> inputs;
  std::stop_token stop;  // Nobody waits any more: kCancelled at the next chance.
  std::string client = {};  // As in ChatRequest.
};

struct Embeddings {
  std::vector<std::vector<float>> vectors;  // One of length 1 per input, in order.
  std::uint32_t prompt_tokens = 0;
  std::string receipt_id;  // Of its receipt, which is stored by now; empty where none is kept.
};

// Called once, on one of the hub's threads; must not block.
using EmbeddingDone = std::function<void(Result<Embeddings>)>;

}  // namespace hearth::hub
