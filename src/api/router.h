// What llama.cpp's router tells its clients: /models, /models/load, /props, also of one model (?model=NAME).
#pragma once

#include <expected>
#include <span>
#include <string>
#include <string_view>

#include "api/answer_writer.h"
#include "hub/hub.h"
#include "hub/prompt.h"

namespace hearth::api::router {

// {"object":"list","data":[{"id":..., "status":{"value":"loaded"}}, ...]}
std::string render_models(std::span<const hub::ModelEntry> models);
// {"role":"router", ...}
std::string render_props(std::span<const hub::ModelEntry> models, std::string_view version);

struct ModelProps {
  const hub::ModelEntry& model;
  const hub::ReadyModel* ready = nullptr;  // Null: it is not loaded, and what its file says is left out.
  std::size_t n_slots = 1;                 // Requests at once.
  std::string_view version;                // Of Hearth.
};
// What llama-server says of its one model; "is_sleeping" where it is not loaded.
std::string render_model_props(const ModelProps& props);

// {"model":NAME}: loads it and answers {"success":true}.
std::expected<ChatCall, ApiError> parse_load(std::string_view body);
// {"model":NAME}: the name of the model that is to go.
std::expected<std::string, ApiError> parse_unload(std::string_view body);

}  // namespace hearth::api::router
