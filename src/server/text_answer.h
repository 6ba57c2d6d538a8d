// The bridge for llama-server's looks at a model's text side: each loads the model that is named, if it is
// not yet, and answers from its vocabulary and template.
#pragma once

#include <span>

#include "api/error_status.h"
#include "hub/hub.h"
#include "net/http_message.h"

namespace hearth::server {

// All block while the model is loaded: not for the I/O thread.
net::ServerResponse answer_tokenize(hub::Hub& hub, const net::ServerRequest& request);
net::ServerResponse answer_detokenize(hub::Hub& hub, const net::ServerRequest& request);
net::ServerResponse answer_apply_template(hub::Hub& hub, const net::ServerRequest& request);

struct PropsContext {
  std::span<const hub::ModelEntry> models;  // Those that can run.
  std::size_t n_slots = 1;
  std::string_view version;
};
// /props of the router, or with ?model=NAME of that model; &autoload=false leaves it as it is.
net::ServerResponse answer_props(hub::Hub& hub, const net::ServerRequest& request, const PropsContext& context);

}  // namespace hearth::server
