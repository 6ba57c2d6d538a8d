// What llama.cpp's router tells its clients: /models, /models/load, /props.
#pragma once

#include <expected>
#include <span>
#include <string>
#include <string_view>

#include "api/answer_writer.h"
#include "hub/hub.h"

namespace hearth::api::router {

// {"object":"list","data":[{"id":..., "status":{"value":"loaded"}}, ...]}
std::string render_models(std::span<const hub::ModelEntry> models);
// {"role":"router", ...}
std::string render_props(std::span<const hub::ModelEntry> models);

// {"model":NAME}: loads it and answers {"success":true}.
std::expected<ChatCall, ApiError> parse_load(std::string_view body);
// {"model":NAME}: the name of the model that is to go.
std::expected<std::string, ApiError> parse_unload(std::string_view body);

}  // namespace hearth::api::router
