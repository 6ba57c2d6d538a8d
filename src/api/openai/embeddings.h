// OpenAI's embeddings: JSON in, a hub::EmbeddingRequest out, and vectors back.
//
// `encoding_format` "base64" is what OpenAI's own clients ask for: a vector's float32 values,
// little-endian.  `dimensions` takes the first numbers of each vector and brings them back to
// length 1, as models trained for it (Matryoshka) want.
#pragma once

#include <simdjson.h>

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "api/error_status.h"
#include "hub/embedding.h"

namespace hearth::api::openai {

inline constexpr std::size_t kEmbeddingDimensionsMax = 1U << 20;

struct EmbeddingsRequest {
  hub::EmbeddingRequest work;  // `stop` is left for the server to fill.
  std::string model;           // As the request named it.
  bool is_base64 = false;
  std::optional<std::uint32_t> dimensions;
};

// Threading: any thread.
std::expected<EmbeddingsRequest, ApiError> parse_embeddings(std::string_view body);
// The same of other protocols' bodies, whose texts are in the member `input_param`.
std::expected<EmbeddingsRequest, ApiError> parse_embeddings(simdjson::dom::object body, std::string_view input_param);

// Shortens the vectors to the `dimensions` asked for; an ApiError if the model has fewer.
std::expected<void, ApiError> fit_dimensions(const EmbeddingsRequest& request, hub::Embeddings& made);

// The whole answer; an ApiError if more `dimensions` were asked for than the model has.
std::expected<std::string, ApiError> render_embeddings(const EmbeddingsRequest& request,
                                                       hub::Embeddings made);

// The hub's error as this endpoint's clients know it.
ApiError embeddings_error(const Error& error);

}  // namespace hearth::api::openai
