// What a chat request and its answer are, once the wire format is gone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/sampling.h"
#include "hub/adapter_name.h"
#include "text/grammar/grammar.h"

namespace hearth::hub {

enum class Role : std::uint8_t { kSystem, kUser, kAssistant, kTool };

// As the API and chat templates name it.
constexpr const char* role_name(Role role) {
  switch (role) {
    case Role::kSystem:
      return "system";
    case Role::kUser:
      return "user";
    case Role::kAssistant:
      return "assistant";
    case Role::kTool:
      return "tool";
  }
  return "user";
}

struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;  // JSON text, as the model or the client wrote it.
};

struct Message {
  Role role = Role::kUser;
  std::string content;    // Text parts joined; empty for none.
  std::string reasoning;  // Replayed `reasoning_content`.
  std::string name;
  std::vector<ToolCall> tool_calls;  // Of an assistant.
  std::string tool_call_id;          // Of a tool.
};

// A function that the client offers.  The texts are JSON: beyond the API only names are looked at.
struct Tool {
  std::string name;
  std::string definition;  // The object with name, description and parameters, as the client wrote it.
  std::string parameters;  // JSON Schema of the arguments; empty for none.
};

// Whether the model may call: as it likes, not at all, or it must.
enum class ToolChoice : std::uint8_t { kAuto, kNone, kRequired };

// A piece of an answer's tool call.  Calls of a choice come one after the other; a call's first piece,
// and only that, has its id and name.
struct ToolCallPiece {
  std::uint32_t index = 0;  // Of the call in its choice.
  std::string id;           // "call_" and 24 letters and digits.
  std::string name;
  std::string arguments;  // JSON text: pieces concatenate.
};

// Whether the adviser may be asked: never, when the local answer is unsure, or in any case.
enum class AdviceMode : std::uint8_t { kNever, kAuto, kAlways };

struct ChatRequest {
  // "auto", "local" (nothing may leave), or a catalogue name; adapters behind '@' (adapter_name.h).
  std::string model = "auto";
  std::vector<AdapterWish> adapters;  // Besides those that `model` names.
  std::vector<Message> messages;  // For chat.
  std::string prompt;             // For plain completion, when `messages` is empty: no template.
  engine::SamplingOptions sampling;
  bool has_seed = false;               // sampling.seed was asked for; else it was drawn.
  bool has_temperature = false;        // sampling.temperature was asked for; else the model's own wish goes.
  std::uint32_t max_tokens = 0;  // 0: up to the context's end.
  std::vector<std::string> stop;
  bool ignore_eos = false;            // Go on to max_tokens where the model would end.
  text::grammar::GrammarPtr grammar;  // What the answer may be; null: any text.
  // The field that asked for `grammar`, and its JSON, for servers that are passed the request on.
  std::string format_field, format_json;
  std::uint32_t n = 1;  // Choices, at most kChoicesMax.
  std::uint32_t n_top_logprobs = 0;
  bool wants_logprobs = false;        // Of each token, even without alternatives.
  std::vector<Tool> tools;
  ToolChoice tool_choice = ToolChoice::kAuto;
  std::string tool_name;             // The only tool that may be called; empty: any.
  bool parallel_tool_calls = true;   // Else at most one call in an answer.
  std::string reasoning_effort;      // For the template, as the client wrote it; empty: unsaid.
  std::string template_arguments;    // chat_template_kwargs, a JSON object; empty: none.
  std::optional<AdviceMode> advice;  // Unset: the configuration's default.
  bool counts_only = false;  // Loads the model, lays out the prompt, and ends with its tokens in the usage.
  bool may_store = true;             // The client did not say `store: false`.
  // Whether what the prompt leaves in the engine may be kept on disk; unset: as `may_store` says.
  std::optional<bool> may_keep_prompt;
  std::string client;                // Whom fairness and the receipt count it for: a key's name or an address.
  // Of HTTP, for the privacy policy: "name: value", the name in lower case; no keys and cookies.
  std::vector<std::string> headers;
  bool is_preview = false;           // What would leave is shown (ChatSink::on_departure), and nothing does.
};

inline constexpr std::uint32_t kChoicesMax = 16;

struct Usage {
  std::uint32_t prompt_tokens = 0;
  std::uint32_t cached_tokens = 0;    // Of the prompt: not computed.
  std::uint32_t restored_tokens = 0;  // Of these, read from disk.
  std::uint32_t completion_tokens = 0;
};

// Why an answer was or was not advised; the name is what receipts print ("not_needed", ...).
enum class AdviceOutcome : std::uint8_t {
  kNotNeeded,      // Confidence was above the threshold.
  kAdvised,        // Advice came and the local model finished with it.
  kNotConfigured,  // Unsure, but there is no [advisor].
  kNotAllowed,     // Unsure, but the request, the model name or the policy says never.
  kOverBudget,     // Unsure, but the reservation did not fit.
  kUnknownPrice,   // Unsure, but the adviser's model has no price.
  kNotWorthIt,     // Unsure, but the expected gain is less than the price.
  kFailed,         // Asked, and the adviser was down, slow, out of quota, or wrong.
};
const char* advice_outcome_name(AdviceOutcome outcome);

// Written for each answer; `hearth ledger show ID` prints it.
struct Receipt {
  std::string id;  // "r-" and 26 characters, sortable by time.
  std::int64_t at_unix_us = 0;
  std::string model;    // Catalogue name of the model that answered.
  std::string adapter;  // "A:0.5+B"; empty for none.
  Usage usage;
  double queue_ms = 0;
  double ready_ms = 0;        // From the parsed request until its model's first product could start.
  double first_token_ms = 0;  // From the parsed request to the first visible token.
  double total_ms = 0;
  double tokens_per_second = 0;  // Of decode.
  float confidence = 0;          // In [0, 1], of the local answer before advice.
  std::string quantisation;      // Of the model; empty where another server answers.
  std::string kind;              // What the question is about, as [[tasks]] tell; empty: unknown.
  float p_wrong = 0, p_helps = 0;  // P(the local answer is wrong), P(the adviser is right), with experience;
  float p_wrong_before = 0;        // and the first without it.
  AdviceOutcome advice = AdviceOutcome::kNotNeeded;
  std::string advice_detail;    // One sentence for a person.
  std::string advice_rule;      // Why advice was asked for, with its numbers.
  std::string adviser;          // PROVIDER/NAME if asked.
  std::uint64_t bytes_out = 0;  // Left this machine for this answer.
  std::int64_t cost_usd_micro = 0;
  std::string end;              // "stop", "length", "cancelled" or "error".
  bool advice_relayed = false;  // The answer is the adviser's words, passed on.
  std::string advice_remembered;  // The remembered advice that spared a call: its id; empty: none did.
  std::string second_model;       // Whose answer the draft was held against; empty: nobody's.
  bool second_agrees = false;
  std::string choice;           // Why this model, where the request left that to the hub and there are tasks.
  std::string upstream;         // The server that answered; empty: Hearth's own engine.
  std::string place;            // Where that is: "http://127.0.0.1:11434/v1, on this machine".
  std::string left_out;         // What that server was not asked for, as it does not take it.
  std::string client;           // Who asked: an API key's name or an address; empty: not known.
};

}  // namespace hearth::hub
