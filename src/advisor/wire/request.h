// A request to another server's model before it has any provider's form: what all of them can be
// asked, and each wire (wire.h) writes in its own words.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hearth::advisor {

struct WireCall {
  std::string id;
  std::string name;
  std::string arguments;  // JSON text, as the model wrote it.
  // What the provider gave along with the call and wants back with it (Answer::carried); empty: nothing.
  std::string carried;
};

struct WireTurn {
  enum class Role : std::uint8_t { kUser, kAssistant, kTool };
  Role role = Role::kUser;
  std::string text;
  std::vector<WireCall> calls;  // Of an assistant.
  std::string call_id;          // Of a tool: which call this is the result of.
};

struct WireTool {
  std::string name;
  std::string description;
  std::string parameters;  // JSON Schema; empty: none.
};

enum class WireToolChoice : std::uint8_t { kAuto, kNone, kRequired };

struct WireRequest {
  std::string model;
  std::string system;
  std::vector<WireTurn> turns;  // Oldest first.
  std::vector<WireTool> tools;
  WireToolChoice tool_choice = WireToolChoice::kAuto;
  std::string tool_name;  // The only tool that may be called; empty: any.
  bool parallel_calls = true;
  std::uint32_t max_tokens = 0;  // Thinking included; 0: the server's own limit.
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::uint32_t top_k = 0;  // 0: unsaid, as for the next three.
  std::optional<std::int64_t> seed;
  std::vector<std::string> stop;
  std::string reasoning_effort;  // "none", "minimal", "low", ... "max".
  std::string schema;            // JSON Schema that the answer must fit; empty: any text.
};

}  // namespace hearth::advisor
