// The functions that the table of wires names; see WireFormat for what each does.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "advisor/wire/answer.h"
#include "advisor/wire/request.h"
#include "net/http_client.h"

namespace hearth::advisor {

// chat.cpp
std::string chat_body(const WireRequest& request);
std::string openai_chat_body(const WireRequest& request);
std::string hearth_chat_body(const WireRequest& request);
void take_chat(const Json& event, bool is_whole, Answer& answer);

// responses.cpp
std::string responses_body(const WireRequest& request);
void take_response(const Json& event, bool is_whole, Answer& answer);

// anthropic.cpp
void add_anthropic_headers(const std::string& key, std::vector<net::HttpHeader>& headers);
std::string anthropic_body(const WireRequest& request);
void take_message(const Json& event, bool is_whole, Answer& answer);

// gemini.cpp
std::string gemini_url(const std::string& base, const std::string& model);
void add_gemini_headers(const std::string& key, std::vector<net::HttpHeader>& headers);
std::string gemini_body(const WireRequest& request);
void take_content(const Json& event, bool is_whole, Answer& answer);

// wire_json.cpp: what several have in common.
using Body = nlohmann::ordered_json;

std::string dump(const Body& body);  // Invalid UTF-8 becomes U+FFFD.
Body parse_object(const std::string& text);        // {} where the text is no JSON object.
Body schema_of(const std::string& text);           // An empty object's schema where it is none.
// The same for requests that begin alike (model, system text, tools), so that they meet the same cache; empty
// where they are too short for a cache to help.
std::string prompt_cache_key(const WireRequest& request);
std::size_t prefix_bytes(const WireRequest& request);  // Of system text and tools.

// A word of a provider's and OpenAI's for the same.
struct FinishWord {
  std::string_view theirs, ours;
};
std::string_view finish_word(std::span<const FinishWord> words, std::string_view theirs);

}  // namespace hearth::advisor
