// Routes that the page was the first to need: pins, roofs, what this machine can run, and conversations that are kept
// here.  What is unset answers 404.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "device/kept_roofs.h"
#include "hub/hub.h"
#include "net/http_message.h"
#include "server/page_conversations.h"

namespace hearth::server {

struct PageServices {
  std::shared_ptr<ConversationFolder> conversations;
  std::shared_ptr<device::RoofKeeper> roofs;
};

net::ServerResponse answer_pin(hub::Hub& hub, std::string_view body);
net::ServerResponse answer_roofs(const PageServices& services);
net::ServerResponse answer_measure(const PageServices& services);  // 2 s of all cores.
net::ServerResponse answer_recommendation(const PageServices& services, hub::Hub& hub);

// By the request's method, of `owner`'s.  `id` is empty for the list.
net::ServerResponse answer_conversations(const PageServices& services, std::string_view owner, const std::string& id,
                                         const net::ServerRequest& request);

}  // namespace hearth::server
