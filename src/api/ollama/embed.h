// Ollama's embeddings: /api/embed, and the older /api/embeddings for one text.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "api/openai/embeddings.h"

namespace hearth::api::ollama {

enum class EmbedEndpoint : std::uint8_t { kEmbed, kEmbeddings };

// Threading: any thread.
std::expected<openai::EmbeddingsRequest, ApiError> parse_embed(EmbedEndpoint endpoint, std::string_view body);
std::expected<std::string, ApiError> render_embed(EmbedEndpoint endpoint,
                                                  const openai::EmbeddingsRequest& request, hub::Embeddings made,
                                                  double total_ms);

}  // namespace hearth::api::ollama
