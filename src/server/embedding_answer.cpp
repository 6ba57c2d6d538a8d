#include "server/embedding_answer.h"

#include <stop_token>
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

void respond(const EmbeddingCall& call, const api::ApiError& error) {
  call.metrics->count_response(error.status);
  call.exchange->respond(error_response(error, call.headers));
}

void respond(const EmbeddingCall& call, std::string body, const std::string& receipt_id) {
  net::HeaderList headers = call.headers;
  if (!receipt_id.empty()) headers.emplace_back("x-hearth-receipt", receipt_id);
  call.metrics->count_response(200);
  call.exchange->respond({.body = std::move(body), .headers = std::move(headers)});
}

void respond(const EmbeddingCall& call, const openai::EmbeddingsRequest& request,
             Result<hub::Embeddings> made) {
  if (!made) return respond(call, openai::embeddings_error(made.error()));
  const std::string receipt_id = made->receipt_id;
  auto body = openai::render_embeddings(request, *std::move(made));
  if (!body) return respond(call, body.error());
  respond(call, *std::move(body), receipt_id);
}

}  // namespace

void answer_embeddings(hub::Hub& hub, EmbeddingCall call) {
  if (call.exchange->cancelled()) return;  // Left while it waited for a thread.
  auto request = openai::parse_embeddings(call.exchange->request().body);
  if (!request) return respond(call, request.error());

  std::stop_source stop;
  call.exchange->on_cancel([stop]() mutable { stop.request_stop(); });
  hub::EmbeddingRequest work = std::move(request->work);
  work.stop = stop.get_token();
  work.client = call.client;
  const auto taken = hub.embed(std::move(work), [call, asked = *request](auto made) {
    respond(call, asked, std::move(made));
  });
  if (!taken) respond(call, openai::embeddings_error(taken.error()));
}

static void answer_ollama(hub::Hub& hub, const EmbeddingCall& call, ollama::EmbedEndpoint endpoint) {
  const auto refuse = [](const EmbeddingCall& whom, const api::ApiError& error) {
    whom.metrics->count_response(error.status);
    whom.exchange->respond(error_response(error, whom.headers, ollama::render_error));
  };
  if (call.exchange->cancelled()) return;
  auto request = ollama::parse_embed(endpoint, call.exchange->request().body);
  if (!request) return refuse(call, request.error());

  std::stop_source stop;
  call.exchange->on_cancel([stop]() mutable { stop.request_stop(); });
  hub::EmbeddingRequest work = std::move(request->work);
  work.stop = stop.get_token();
  work.client = call.client;
  const std::int64_t began_ns = Clock::system().now_monotonic_ns();
  const auto taken = hub.embed(std::move(work), [=, asked = *request](Result<hub::Embeddings> made) {
    if (!made) return refuse(call, openai::embeddings_error(made.error()));
    const std::string receipt_id = made->receipt_id;
    const double ms = static_cast<double>(Clock::system().now_monotonic_ns() - began_ns) / 1e6;
    auto body = ollama::render_embed(endpoint, asked, *std::move(made), ms);
    if (!body) return refuse(call, body.error());
    respond(call, *std::move(body), receipt_id);
  });
  if (!taken) refuse(call, openai::embeddings_error(taken.error()));
}

void answer_ollama_embed(hub::Hub& hub, EmbeddingCall call) {
  answer_ollama(hub, call, ollama::EmbedEndpoint::kEmbed);
}

void answer_ollama_embeddings(hub::Hub& hub, EmbeddingCall call) {
  answer_ollama(hub, call, ollama::EmbedEndpoint::kEmbeddings);
}

void answer_rerank(hub::Hub& hub, EmbeddingCall call) {
  if (call.exchange->cancelled()) return;
  auto request = api::rerank::parse(call.exchange->request().body);
  if (!request) return respond(call, request.error());

  std::stop_source stop;
  call.exchange->on_cancel([stop]() mutable { stop.request_stop(); });
  hub::RerankRequest work = request->work;
  work.stop = stop.get_token();
  work.client = call.client;
  const auto taken = hub.rerank(
      std::move(work), [call, asked = *std::move(request)](const Result<hub::Ranking>& made) {
        if (!made) return respond(call, api::rerank::error_of(made.error()));
        respond(call, api::rerank::render(asked, *made), made->receipt_id);
      });
  if (!taken) respond(call, api::rerank::error_of(taken.error()));
}

}  // namespace hearth::server
