// Ollama's lists of models: /api/tags, /api/ps, /api/show, /api/version.
//
// A digest here is an identity (of name, file and size), not a checksum of the weights.
#pragma once

#include <expected>
#include <span>
#include <string>
#include <string_view>

#include "api/request_values.h"
#include "hub/hub.h"

namespace hearth::api::ollama {

std::string render_tags(std::span<const hub::ModelEntry> models);
std::string render_loaded(std::span<const hub::ModelEntry> models, const hub::MemoryReport& memory);
std::string render_show(const hub::ModelEntry& model);
std::string render_version(std::string_view version);

// The model that a body names: "model", or, as older clients say, "name".
Parsed<std::string> named_model(dom::object body);
// As /api/show and its kin have it, with nothing else that matters.
std::expected<std::string, ApiError> parse_show(std::string_view body);

// Of the model that a client means: names without a tag mean ":latest", and the other way round.
const hub::ModelEntry* find_model(std::span<const hub::ModelEntry> models, std::string_view name);

}  // namespace hearth::api::ollama
