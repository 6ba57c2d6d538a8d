// The routes that list models, show one, delete one and let one go, in the words of the protocol that asks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hub/hub.h"
#include "hub/pulls.h"
#include "net/http_message.h"

namespace hearth::server {

// Those that can run, after the two names that leave the choice to the hub.
std::vector<hub::ModelEntry> usable_models(const hub::Hub& hub);

// OpenAI's list, and one of its entries; `started_unix_s` is when all of them were "created".
net::ServerResponse answer_models(const hub::Hub& hub, std::int64_t started_unix_s);
net::ServerResponse answer_model(const hub::Hub& hub, const std::string& id, std::int64_t started_unix_s);

// Ollama's.  `pulls`: null where this hub pulls no models for its clients.
net::ServerResponse answer_ollama_show(const hub::Hub& hub, const hub::Pulls* pulls, std::string_view body);
net::ServerResponse answer_ollama_delete(hub::Pulls* pulls, std::string_view body);

// llama.cpp's router's.
net::ServerResponse answer_unload(hub::Hub& hub, std::string_view body);

}  // namespace hearth::server
