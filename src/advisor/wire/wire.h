// The forms in which other servers' models are asked and answer, as rows of one table.
//
//   chat       OpenAI's chat completions, as nearly every server speaks them
//   openai     the same at OpenAI itself: its own name of the limit, nothing stored
//   hearth     the same at another Hearth, which must not ask on in turn
//   responses  OpenAI's responses
//   anthropic  Anthropic's messages
//   gemini     Google's generateContent
//
// A row knows where a request goes, which headers it has, how its body is written and what an event
// of the answer says.  Nothing else in Hearth knows a provider's words.
//
// Formats: the providers' API references; each file here names its own.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "advisor/wire/answer.h"
#include "advisor/wire/request.h"
#include "net/http_client.h"

namespace hearth::advisor {

enum class Wire : std::uint8_t { kChat, kOpenAi, kHearth, kResponses, kAnthropic, kGemini };

// What a wire has a word for, beside what all have.
enum WireField : unsigned {
  kTakesTopK = 1,
  kTakesSeed = 2,
  kTakesStop = 4,
  kTakesSchema = 8,
};

struct WireFormat {
  Wire wire;
  std::string_view name;  // In hearth.toml.
  std::string_view home;  // Where its maker serves it; of two rows of one home the first is meant there.
  std::string_view path;  // What an address that has none gets.
  unsigned takes;         // WireField bits.
  // What input that is written to a cache costs at most, in percent of other input, where a price list does
  // not say.
  std::int64_t write_percent;
  std::uint32_t tool_prompt_tokens;  // At most so many does the provider add where there are tools.
  std::string (*url)(const std::string& base, const std::string& model);
  void (*add_headers)(const std::string& key, std::vector<net::HttpHeader>& headers);
  std::string (*body)(const WireRequest& request);  // JSON; asks for a stream.
  // What one event of a stream says, or (`is_whole`) an answer that came as one object.
  void (*take)(const Json& event, bool is_whole, Answer& answer);

  // Whether the hub's own reader and body for OpenAI's chat fit.
  bool is_chat() const { return wire == Wire::kChat || wire == Wire::kOpenAi || wire == Wire::kHearth; }
};

std::span<const WireFormat> wires();
const WireFormat& wire_format(Wire wire);
const WireFormat* find_wire(std::string_view name);  // Null: there is none of that name.

// The wire of a server whose address is `host` and of which the configuration says `name` ("": nothing).
// Null for a name that there is not.
const WireFormat* wire_of(std::string_view name, std::string_view host);

// "chat, openai, ..." for messages.
std::string wire_names();

// Content type, what is accepted, who asks, and the key; none for an empty key.
std::vector<net::HttpHeader> wire_headers(const WireFormat& wire, const std::string& key);

}  // namespace hearth::advisor
