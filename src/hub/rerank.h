// What a request to rank documents and its answer are, once the wire format is gone.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"

namespace hearth::hub {

inline constexpr std::size_t kRerankDocumentsMax = 2'048;   // Of one request.
inline constexpr std::size_t kRerankTokensMax = 1'000'000;  // Of all pairs of query and document.

struct RerankRequest {
  std::string model;  // A catalogue name.
  std::string query;
  std::vector<std::string> documents;
  std::stop_token stop;  // Nobody waits any more: kCancelled at the next chance.
  std::string client = {};  // As in ChatRequest.
};

struct Ranking {
  std::vector<float> scores;  // One per document, in order; higher fits better (model/encoder.h).
  std::uint32_t prompt_tokens = 0;
  std::string receipt_id;  // As in Embeddings.
};

// Called once, on one of the hub's threads; must not block.
using RerankDone = std::function<void(Result<Ranking>)>;

}  // namespace hearth::hub
