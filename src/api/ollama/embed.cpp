#include "api/ollama/embed.h"

#include <utility>

#include "api/chat_fields.h"
#include "api/json_writer.h"

namespace hearth::api::ollama {
namespace {

constexpr double kNsPerMs = 1e6;

void write_vector(JsonWriter& json, const std::vector<float>& vector) {
  json.begin_array();
  for (const float number : vector) json.value(number);
  json.end_array();
}

}  // namespace

std::expected<openai::EmbeddingsRequest, ApiError> parse_embed(EmbedEndpoint endpoint, std::string_view body) {
  dom::parser parser;
  HEARTH_TRY(const dom::object object, parse_body(parser, body));
  const char* const texts = endpoint == EmbedEndpoint::kEmbed ? "input" : "prompt";
  return openai::parse_embeddings(object, texts);
}

std::expected<std::string, ApiError> render_embed(EmbedEndpoint endpoint,
                                                  const openai::EmbeddingsRequest& request, hub::Embeddings made,
                                                  double total_ms) {
  HEARTH_TRY_VOID(openai::fit_dimensions(request, made));
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  if (endpoint == EmbedEndpoint::kEmbeddings) {
    json.key("embedding");
    write_vector(json, made.vectors.front());
    json.end_object();
    return out;
  }
  json.key("model").value(request.model).key("embeddings").begin_array();
  for (const auto& vector : made.vectors) write_vector(json, vector);
  json.end_array().key("total_duration").value(static_cast<std::int64_t>(total_ms * kNsPerMs));
  json.key("prompt_eval_count").value(made.prompt_tokens).end_object();
  return out;
}

}  // namespace hearth::api::ollama
