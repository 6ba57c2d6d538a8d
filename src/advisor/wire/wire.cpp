#include "advisor/wire/wire.h"

#include <algorithm>
#include <array>

#include "advisor/wire/formats.h"

namespace hearth::advisor {
namespace {

std::string chat_url(const std::string& base, const std::string&) { return base + "/chat/completions"; }
std::string responses_url(const std::string& base, const std::string&) { return base + "/responses"; }
std::string messages_url(const std::string& base, const std::string&) { return base + "/messages"; }

void add_bearer(const std::string& key, std::vector<net::HttpHeader>& headers) {
  if (!key.empty()) headers.push_back({"Authorization", "Bearer " + key, true});
}

// Anthropic counts a prompt of its own for requests with tools: 804 tokens at most for the models of 2026
// (its page on tool use); 1'024 leaves room.
constexpr std::uint32_t kAnthropicToolTokens = 1'024;

// clang-format off
constexpr std::array kWires = {
    WireFormat{Wire::kChat, "chat", "", "/v1", kTakesSeed | kTakesStop | kTakesSchema, 100, 0,
               chat_url, add_bearer, chat_body, take_chat},
    WireFormat{Wire::kOpenAi, "openai", "https://api.openai.com/v1", "/v1",
               kTakesSeed | kTakesStop | kTakesSchema, 125, 0, chat_url, add_bearer, openai_chat_body, take_chat},
    WireFormat{Wire::kHearth, "hearth", "", "/v1", kTakesSeed | kTakesStop | kTakesSchema, 100, 0,
               chat_url, add_bearer, hearth_chat_body, take_chat},
    WireFormat{Wire::kResponses, "responses", "https://api.openai.com/v1", "/v1", kTakesSchema, 125, 0,
               responses_url, add_bearer, responses_body, take_response},
    WireFormat{Wire::kAnthropic, "anthropic", "https://api.anthropic.com/v1", "/v1",
               kTakesTopK | kTakesStop | kTakesSchema, 125, kAnthropicToolTokens,
               messages_url, add_anthropic_headers, anthropic_body, take_message},
    WireFormat{Wire::kGemini, "gemini", "https://generativelanguage.googleapis.com/v1beta", "/v1beta",
               kTakesTopK | kTakesSeed | kTakesStop | kTakesSchema, 100, 0,
               gemini_url, add_gemini_headers, gemini_body, take_content},
};
// clang-format on

}  // namespace

std::span<const WireFormat> wires() { return kWires; }

const WireFormat& wire_format(Wire wire) { return kWires[static_cast<std::size_t>(wire)]; }

const WireFormat* find_wire(std::string_view name) {
  const auto found = std::ranges::find(kWires, name, &WireFormat::name);
  return found == kWires.end() ? nullptr : &*found;
}

const WireFormat* wire_of(std::string_view name, std::string_view host) {
  if (!name.empty()) return find_wire(name);
  const std::string begin = "https://" + std::string(host) + "/";
  const auto own = std::ranges::find_if(
      kWires, [&](const WireFormat& wire) { return !host.empty() && wire.home.starts_with(begin); });
  return own == kWires.end() ? &kWires[0] : &*own;
}

std::string wire_names() {
  std::string names;
  for (const WireFormat& wire : kWires) names += (names.empty() ? "" : ", ") + std::string(wire.name);
  return names;
}

std::vector<net::HttpHeader> wire_headers(const WireFormat& wire, const std::string& key) {
  std::vector<net::HttpHeader> headers = {{"Content-Type", "application/json"},
                                          {"Accept", "text/event-stream, application/json"},
                                          {"User-Agent", "hearth"}};
  wire.add_headers(key, headers);
  return headers;
}

}  // namespace hearth::advisor
