// Ranking documents in the form that Jina's and Cohere's clients speak and llama-server answers:
// JSON in, a hub::RerankRequest out, and the best documents back.
//
//   {"model", "query", "documents": ["...", {"text": "..."}], "top_n", "return_documents"}
//   {"model", "object": "list", "usage", "results": [{"index", "relevance_score", "document"}]}
//
// A score is the model's own number, as llama-server has it: it orders, and is no probability.
#pragma once

#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "api/error_status.h"
#include "hub/rerank.h"

namespace hearth::api::rerank {

struct Request {
  hub::RerankRequest work;  // `stop` is left for the server to fill.
  std::optional<std::size_t> top_n;
  bool returns_documents = false;
};

// Threading: any thread.
std::expected<Request, ApiError> parse(std::string_view body);

// The whole answer: the best first, of equals the one that came first.
std::string render(const Request& request, const hub::Ranking& ranking);

// The hub's error as this endpoint's clients know it.
ApiError error_of(const Error& error);

}  // namespace hearth::api::rerank
