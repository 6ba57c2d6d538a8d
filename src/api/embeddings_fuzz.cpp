// Fuzzes the path from a body to a request of the endpoints that encoders answer: what is accepted
// keeps its limits, what is refused is a 400 whose rendering is JSON again, and answers to what was
// accepted are JSON, too.
#include <simdjson.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "api/openai/embeddings.h"
#include "api/rerank.h"
#include "base/result.h"

namespace {

namespace api = hearth::api;

void check_json(const std::string& text) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  HEARTH_CHECK(parser.parse(text).get(root) == simdjson::SUCCESS);
}

void check_refusal(const api::ApiError& error) {
  HEARTH_CHECK(error.status == 400);
  check_json(api::render_error(error));
}

void check_embeddings(std::string_view body) {
  const auto request = api::openai::parse_embeddings(body);
  if (!request) return check_refusal(request.error());
  const auto& inputs = request->work.inputs;
  HEARTH_CHECK(!inputs.empty() && inputs.size() <= hearth::hub::kEmbeddingTextsMax);
  HEARTH_CHECK(!request->model.empty());
  for (const auto& input : inputs) {
    HEARTH_CHECK(std::visit([](const auto& content) { return !content.empty(); }, input));
  }
  const auto answer = api::openai::render_embeddings(*request, {.vectors = {{1.0F, -0.5F}}});
  if (answer) return check_json(*answer);
  check_refusal(answer.error());
}

void check_rerank(std::string_view body) {
  const auto request = api::rerank::parse(body);
  if (!request) return check_refusal(request.error());
  const auto& documents = request->work.documents;
  HEARTH_CHECK(!documents.empty() && documents.size() <= hearth::hub::kRerankDocumentsMax);
  HEARTH_CHECK(!request->work.model.empty() && !request->work.query.empty());
  check_json(api::rerank::render(*request, {.scores = std::vector<float>(documents.size(), 0.5F)}));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  check_embeddings(body);
  check_rerank(body);
  return 0;
}
