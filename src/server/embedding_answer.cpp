#include "server/embedding_answer.h"

#include <expected>
#include <stop_token>
#include <string>
#include <utility>

#include "api/ollama/chat_writer.h"
#include "api/ollama/embed.h"
#include "api/openai/embeddings.h"
#include "api/rerank.h"
#include "base/clock.h"
#include "server/chat_answer.h"

namespace hearth::server {
namespace {

namespace openai = api::openai;
namespace ollama = api::ollama;

// How a protocol words what went wrong.
struct Dialect {
  api::ApiError (*error_of)(const Error& error);
  std::string (*render_error)(const api::ApiError& error);
};
constexpr Dialect kOpenai = {openai::embeddings_error, api::render_error};
constexpr Dialect kOllama = {openai::embeddings_error, ollama::render_error};
constexpr Dialect kRerank = {api::rerank::error_of, api::render_error};

void refuse(const EmbeddingCall& call, const Dialect& dialect, const api::ApiError& error) {
  call.metrics->count_response(error.status);
  call.exchange->respond(error_response(error, call.headers, dialect.render_error));
}

void respond(const EmbeddingCall& call, std::string body, const std::string& receipt_id) {
  net::HeaderList headers = call.headers;
  if (!receipt_id.empty()) headers.emplace_back("x-hearth-receipt", receipt_id);
  call.metrics->count_response(200);
  call.exchange->respond({.body = std::move(body), .headers = std::move(headers)});
}

// Has `submit` do the work that `parse` finds in the body, and answers with what `render` makes of it.
template <class Made, class Parse, class Submit, class Render>
void answer(const EmbeddingCall& call, const Dialect& dialect, Parse parse, Submit submit, Render render) {
  if (call.exchange->cancelled()) return;  // Left while it waited for a thread.
  auto request = parse(call.exchange->request().body);
  if (!request) return refuse(call, dialect, request.error());

  std::stop_source stop;
  call.exchange->on_cancel([stop]() mutable { stop.request_stop(); });
  auto work = request->work;
  work.stop = stop.get_token();
  const auto taken =
      submit(std::move(work), [call, dialect, render, asked = *std::move(request)](Result<Made> made) {
        if (!made) return refuse(call, dialect, dialect.error_of(made.error()));
        const std::string receipt_id = made->receipt_id;
        auto body = render(asked, *std::move(made));
        if (!body) return refuse(call, dialect, body.error());
        respond(call, *std::move(body), receipt_id);
      });
  if (!taken) refuse(call, dialect, dialect.error_of(taken.error()));
}

using Text = std::expected<std::string, api::ApiError>;

auto embed_with(hub::Hub& hub) {
  return [&hub](hub::EmbeddingRequest work, hub::EmbeddingDone done) {
    return hub.embed(std::move(work), std::move(done));
  };
}

void answer_ollama(hub::Hub& hub, const EmbeddingCall& call, ollama::EmbedEndpoint endpoint) {
  const std::int64_t began_ns = Clock::system().now_monotonic_ns();
  answer<hub::Embeddings>(
      call, kOllama, [endpoint](std::string_view body) { return ollama::parse_embed(endpoint, body); },
      embed_with(hub), [endpoint, began_ns](const openai::EmbeddingsRequest& asked, hub::Embeddings made) {
        const double ms = static_cast<double>(Clock::system().now_monotonic_ns() - began_ns) / 1e6;
        return ollama::render_embed(endpoint, asked, std::move(made), ms);
      });
}

}  // namespace

void answer_embeddings(hub::Hub& hub, EmbeddingCall call) {
  answer<hub::Embeddings>(
      call, kOpenai, [](std::string_view body) { return openai::parse_embeddings(body); }, embed_with(hub),
      [](const openai::EmbeddingsRequest& asked, hub::Embeddings made) {
        return openai::render_embeddings(asked, std::move(made));
      });
}

void answer_ollama_embed(hub::Hub& hub, EmbeddingCall call) {
  answer_ollama(hub, call, ollama::EmbedEndpoint::kEmbed);
}

void answer_ollama_embeddings(hub::Hub& hub, EmbeddingCall call) {
  answer_ollama(hub, call, ollama::EmbedEndpoint::kEmbeddings);
}

void answer_rerank(hub::Hub& hub, EmbeddingCall call) {
  answer<hub::Ranking>(
      call, kRerank, [](std::string_view body) { return api::rerank::parse(body); },
      [&hub](hub::RerankRequest work, hub::RerankDone done) { return hub.rerank(std::move(work), std::move(done)); },
      [](const api::rerank::Request& asked, const hub::Ranking& made) -> Text {
        return api::rerank::render(asked, made);
      });
}

}  // namespace hearth::server
