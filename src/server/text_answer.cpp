#include "server/text_answer.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/openai/request.h"
#include "api/query.h"
#include "api/router.h"
#include "api/tokens.h"
#include "hub/prompt.h"
#include "server/chat_answer.h"

namespace hearth::server {
namespace {

namespace tokens = api::tokens;

api::Parsed<hub::ReadyModelPtr> load(hub::Hub& hub, const std::string& model) {
  auto ready = hub.ready_model(model);
  if (!ready) return std::unexpected(api::api_error(ready.error()));
  return *std::move(ready);
}

net::ServerResponse respond(api::Parsed<std::string> body) {
  if (!body) return error_response(body.error());
  return {.body = *std::move(body)};
}

api::Parsed<std::string> tokenize(hub::Hub& hub, std::string_view body) {
  HEARTH_TRY(const tokens::TokenizeRequest request, tokens::parse_tokenize(body));
  HEARTH_TRY(const hub::ReadyModelPtr ready, load(hub, request.model));
  return tokens::render_tokenize(request, ready->model->tokenizer());
}

api::Parsed<std::string> detokenize(hub::Hub& hub, std::string_view body) {
  HEARTH_TRY(const tokens::DetokenizeRequest request, tokens::parse_detokenize(body));
  HEARTH_TRY(const hub::ReadyModelPtr ready, load(hub, request.model));
  return tokens::render_detokenize(request, ready->model->tokenizer());
}

api::Parsed<std::string> apply_template(hub::Hub& hub, std::string_view body) {
  HEARTH_TRY(const auto request, api::openai::parse_request(api::openai::Endpoint::kTemplate, body));
  HEARTH_TRY(const hub::ReadyModelPtr ready, load(hub, request.chat.model));
  const auto prompt = hub::lay_out_chat(*ready, request.chat);
  if (!prompt) return std::unexpected(api::api_error(prompt.error()));
  return tokens::render_prompt(*prompt);
}

api::Parsed<std::string> props(hub::Hub& hub, std::string_view target, const PropsContext& context) {
  HEARTH_TRY(const std::string name, api::query_text(target, "model"));
  HEARTH_TRY(const std::string autoload, api::query_text(target, "autoload"));
  if (name.empty()) return api::router::render_props(context.models, context.version);
  const auto model = std::ranges::find(context.models, name, &hub::ModelEntry::name);
  if (model == context.models.end()) {
    return std::unexpected(api::api_error(404, fmt::format("The model '{}' does not exist. GET /models lists those that do.", name)));
  }
  const bool stays_away = !model->loaded && (autoload == "false" || autoload == "0");
  hub::ReadyModelPtr ready;
  if (!stays_away) {
    HEARTH_TRY(ready, load(hub, name));
  }
  return api::router::render_model_props(
      {.model = *model, .ready = ready.get(), .n_slots = context.n_slots, .version = context.version});
}

}  // namespace

net::ServerResponse answer_tokenize(hub::Hub& hub, const net::ServerRequest& request) {
  return respond(tokenize(hub, request.body));
}
net::ServerResponse answer_detokenize(hub::Hub& hub, const net::ServerRequest& request) {
  return respond(detokenize(hub, request.body));
}
net::ServerResponse answer_apply_template(hub::Hub& hub, const net::ServerRequest& request) {
  return respond(apply_template(hub, request.body));
}
net::ServerResponse answer_props(hub::Hub& hub, const net::ServerRequest& request, const PropsContext& context) {
  return respond(props(hub, request.target, context));
}

}  // namespace hearth::server
