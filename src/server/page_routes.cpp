#include "server/page_routes.h"

#include "api/hearth/consents.h"
#include "api/hearth/recommendation.h"
#include "api/json_writer.h"
#include "server/chat_answer.h"

namespace hearth::server {
namespace {

namespace own = api::hearth;

net::ServerResponse refused(const Error& error) { return error_response(api::api_error(error)); }

net::ServerResponse done(std::string_view id) {
  net::ServerResponse response;
  api::JsonWriter(response.body).begin_object().key("id").value(id).end_object();
  return response;
}

net::ServerResponse put_conversation(ConversationFolder& folder, std::string_view owner, const std::string& id, std::string_view body) {
  const auto head = own::parse_conversation(id, body);
  if (!head) return error_response(head.error());
  if (const auto put = folder.put(owner, *head, body); !put) return refused(put.error());
  return done(id);
}

net::ServerResponse no_roofs() { return error_response(api::api_error(404, "This hub keeps no figures of its machine.")); }

}  // namespace

net::ServerResponse answer_pin(hub::Hub& hub, std::string_view body) {
  const auto pin = own::parse_pin(body);
  if (!pin) return error_response(pin.error());
  if (const auto set = hub.set_pinned(pin->model, pin->is_pinned); !set) return refused(set.error());
  return {.body = R"({"success":true})"};
}

net::ServerResponse answer_roofs(const PageServices& services) {
  if (services.roofs == nullptr) return no_roofs();
  return {.body = own::render_roofs(services.roofs->kept())};
}

net::ServerResponse answer_measure(const PageServices& services) {
  if (services.roofs == nullptr) return no_roofs();
  const auto measured = services.roofs->measure();
  if (!measured) return refused(measured.error());
  return {.body = own::render_roofs(*measured)};
}

net::ServerResponse answer_recommendation(const PageServices& services, hub::Hub& hub) {
  const auto kept = services.roofs == nullptr ? std::nullopt : services.roofs->kept();
  return {.body = own::render_recommendation(device::memory_info(), kept, hub.models())};
}

net::ServerResponse answer_conversations(const PageServices& services, std::string_view owner, const std::string& id,
                                         const net::ServerRequest& request) {
  if (services.conversations == nullptr) return error_response(api::api_error(404, "This hub keeps no conversations."));
  ConversationFolder& folder = *services.conversations;
  if (id.empty()) return {.body = own::render_conversations(folder.folder(owner).string(), folder.list(owner))};
  if (request.method == "PUT") return put_conversation(folder, owner, id, request.body);
  if (request.method == "DELETE") {
    const auto dropped = folder.drop(owner, id);
    return dropped ? done(id) : refused(dropped.error());
  }
  auto kept = folder.get(owner, id);
  return kept ? net::ServerResponse{.body = *std::move(kept)} : refused(kept.error());
}

}  // namespace hearth::server
