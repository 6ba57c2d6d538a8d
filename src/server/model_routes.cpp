#include "server/model_routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "api/ollama/chat_writer.h"
#include "api/ollama/models.h"
#include "api/openai/response.h"
#include "api/router.h"
#include "server/chat_answer.h"

namespace hearth::server {
namespace {

namespace ollama = api::ollama;
namespace openai = api::openai;

// Names that every hub has beside its models.
constexpr auto kRoutingModels = std::to_array<std::string_view>({"auto", "local"});

net::ServerResponse ollama_error(const api::ApiError& error) { return error_response(error, {}, ollama::render_error); }

}  // namespace

std::vector<hub::ModelEntry> usable_models(const hub::Hub& hub) {
  std::vector<hub::ModelEntry> usable;
  for (const std::string_view name : kRoutingModels) {
    usable.push_back({.name = std::string(name), .source = "hub", .loaded = true});
  }
  for (hub::ModelEntry& entry : hub.models()) {
    if (entry.problem.empty()) usable.push_back(std::move(entry));
  }
  return usable;
}

net::ServerResponse answer_models(const hub::Hub& hub, std::int64_t started_unix_s) {
  return {.body = openai::render_models(usable_models(hub), started_unix_s)};
}

net::ServerResponse answer_model(const hub::Hub& hub, const std::string& id, std::int64_t started_unix_s) {
  const auto usable = usable_models(hub);
  const auto found = std::ranges::find(usable, id, &hub::ModelEntry::name);
  if (found != usable.end()) return {.body = openai::render_model(*found, started_unix_s)};

  const auto all = hub.models();
  const auto broken = std::ranges::find(all, id, &hub::ModelEntry::name);
  return error_response(api::api_error(Error{
      Code::kNotFound, broken != all.end()
                           ? fmt::format("The model '{}' can't run: {}", id, broken->problem)
                           : fmt::format("The model '{}' does not exist. GET /v1/models lists those "
                                         "that do.", id)}));
}

net::ServerResponse answer_ollama_show(const hub::Hub& hub, const hub::Pulls* pulls, std::string_view body) {
  const auto name = ollama::parse_show(body);
  if (!name) return ollama_error(name.error());
  const auto usable = usable_models(hub);
  if (const auto* const found = ollama::find_model(usable, *name)) return {.body = ollama::render_show(*found)};
  const auto pulled = pulls == nullptr ? std::nullopt : pulls->find(*name);
  if (pulled && pulled->problem.empty()) return {.body = ollama::render_show(*pulled)};
  return ollama_error(
      api::api_error(404, fmt::format("model '{}' not found; GET /api/tags lists those that there are", *name)));
}

// 200 without a body, as Ollama answers it.
net::ServerResponse answer_ollama_delete(hub::Pulls* pulls, std::string_view body) {
  const auto name = ollama::parse_show(body);
  if (!name) return ollama_error(name.error());
  const auto deleted = pulls == nullptr ? fail(Code::kNotFound, "this hub deletes no models") : pulls->remove(*name);
  if (!deleted) return ollama_error(api::api_error(deleted.error()));
  return {.content_type = "", .body = ""};
}

net::ServerResponse answer_unload(hub::Hub& hub, std::string_view body) {
  const auto name = api::router::parse_unload(body);
  if (!name) return error_response(name.error());
  if (const auto unloaded = hub.unload(*name); !unloaded) return error_response(api::api_error(unloaded.error()));
  return {.body = R"({"success":true})"};
}

}  // namespace hearth::server
