// What the tests of the protocols share: a parsed call or its error, and a stream's events.
#pragma once

#include <gtest/gtest.h>
#include <simdjson.h>

#include <expected>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "api/answer_writer.h"
#include "net/sse.h"

namespace hearth::api {

inline ChatCall call_of(std::expected<ChatCall, ApiError> call) {
  EXPECT_TRUE(call.has_value()) << (call ? "" : call.error().message);
  return call ? *std::move(call) : ChatCall{};
}

inline std::string message_of(const std::expected<ChatCall, ApiError>& call) {
  EXPECT_FALSE(call.has_value());
  return call ? "" : call.error().message;
}

// The types of a stream's events, in order; each one's data must be JSON of that type.  `check` sees that JSON.
inline std::vector<std::string> event_types(
    const std::string& stream, const std::function<void(const simdjson::dom::element& event)>& check = {}) {
  std::vector<std::string> types;
  net::SseParser parser([&](const net::SseEvent& event) {
    if (!event.comment.empty()) return;
    simdjson::dom::parser json;
    simdjson::dom::element root;
    std::string_view type;
    ASSERT_EQ(json.parse(event.data).get(root), simdjson::SUCCESS) << event.data;
    ASSERT_EQ(root["type"].get(type), simdjson::SUCCESS);
    EXPECT_EQ(type, event.event);
    if (check) check(root);
    types.emplace_back(type);
  });
  EXPECT_TRUE(parser.feed(stream).has_value());
  return types;
}

}  // namespace hearth::api
