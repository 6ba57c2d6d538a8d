#include "server/embedding_answer.h"

#include <stop_token>
#include <utility>

#include "api/openai_embeddings.h"
#include "server/chat_answer.h"

namespace hearth::server {
namespace {

namespace openai = api::openai;

void respond(const EmbeddingCall& call, const api::ApiError& error) {
  call.metrics->count_response(error.status);
  call.exchange->respond(error_response(error, call.headers));
}

void respond(const EmbeddingCall& call, const openai::EmbeddingsRequest& request,
             Result<hub::Embeddings> made) {
  if (!made) return respond(call, openai::embeddings_error(made.error()));
  const auto body = openai::render_embeddings(request, *std::move(made));
  if (!body) return respond(call, body.error());
  call.metrics->count_response(200);
  call.exchange->respond({.body = *body, .headers = call.headers});
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
  const auto taken = hub.embed(std::move(work), [call, asked = *request](auto made) {
    respond(call, asked, std::move(made));
  });
  if (!taken) respond(call, openai::embeddings_error(taken.error()));
}

}  // namespace hearth::server
