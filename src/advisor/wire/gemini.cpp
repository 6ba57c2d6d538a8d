// Google's generateContent.  Format: https://ai.google.dev/api/generate-content
#include <algorithm>
#include <array>
#include <unordered_map>

#include "advisor/wire/formats.h"

namespace hearth::advisor {
namespace {

// A result has to be an object.
Body result_of(const std::string& text) {
  Body object = parse_object(text);
  return object.empty() ? Body{{"result", text}} : object;
}

class Contents {
 public:
  void add(const WireTurn& turn) {
    switch (turn.role) {
      case WireTurn::Role::kUser:
        return add_text("user", turn.text);
      case WireTurn::Role::kAssistant:
        add_text("model", turn.text);
        for (const WireCall& call : turn.calls) add_call(call);
        return;
      case WireTurn::Role::kTool:
        return add_result(turn);
    }
  }
  Body take() { return std::move(contents_); }

 private:
  // Turns of one side in a row are one.
  void add_part(const char* role, Body part) {
    if (contents_.empty() || contents_.back()["role"] != role) {
      contents_.push_back({{"role", role}, {"parts", Body::array()}});
    }
    contents_.back()["parts"].push_back(std::move(part));
  }
  void add_text(const char* role, const std::string& text) {
    if (!text.empty()) add_part(role, {{"text", text}});
  }
  void add_call(const WireCall& call) {
    names_[call.id] = call.name;
    Body part = {{"functionCall",
                  {{"id", call.id}, {"name", call.name}, {"args", parse_object(call.arguments)}}}};
    if (!call.carried.empty()) part["thoughtSignature"] = call.carried;
    add_part("model", std::move(part));
  }
  void add_result(const WireTurn& turn) {
    add_part("user", {{"functionResponse",
                       {{"id", turn.call_id},
                        {"name", names_[turn.call_id]},
                        {"response", result_of(turn.text)}}}});
  }

  Body contents_ = Body::array();
  std::unordered_map<std::string, std::string> names_;  // Of calls, by id: results must repeat them.
};

void add_tools(const WireRequest& request, Body& body) {
  if (request.tools.empty()) return;
  Body declared = Body::array();
  for (const WireTool& tool : request.tools) {
    declared.push_back({{"name", tool.name}, {"description", tool.description}});
    if (!tool.parameters.empty()) declared.back()["parametersJsonSchema"] = schema_of(tool.parameters);
  }
  body["tools"].push_back({{"functionDeclarations", std::move(declared)}});
  constexpr std::array kModes = {"AUTO", "NONE", "ANY"};
  Body config = {{"mode", kModes[static_cast<std::size_t>(request.tool_choice)]}};
  if (!request.tool_name.empty()) {
    config = {{"mode", "ANY"}, {"allowedFunctionNames", Body::array({request.tool_name})}};
  }
  if (config["mode"] != "AUTO") body["toolConfig"]["functionCallingConfig"] = std::move(config);
}

// Models before 3 take a budget of tokens, later ones a level.
struct EffortRow {
  std::string_view effort;
  const char* level;
  int budget;
};
constexpr std::array kEfforts = {
    EffortRow{"minimal", "MINIMAL", 512}, EffortRow{"low", "LOW", 1'024},
    EffortRow{"medium", "MEDIUM", 8'192}, EffortRow{"high", "HIGH", 24'576},
    EffortRow{"xhigh", "HIGH", 24'576},   EffortRow{"max", "HIGH", 24'576},
};

void add_thinking(const WireRequest& request, Body& config) {
  const bool is_old = request.model.starts_with("gemini-2");
  if (request.reasoning_effort == "none") {
    config["thinkingConfig"] = is_old ? Body{{"thinkingBudget", 0}} : Body{{"thinkingLevel", "MINIMAL"}};
    return;
  }
  const auto row = std::ranges::find(kEfforts, request.reasoning_effort, &EffortRow::effort);
  if (row == kEfforts.end()) return;
  config["thinkingConfig"] = is_old ? Body{{"thinkingBudget", row->budget}} : Body{{"thinkingLevel", row->level}};
  config["thinkingConfig"]["includeThoughts"] = true;
}

Body config_of(const WireRequest& request) {
  Body config = Body::object();
  if (request.max_tokens != 0) config["maxOutputTokens"] = request.max_tokens;
  if (request.temperature) config["temperature"] = *request.temperature;
  if (request.top_p) config["topP"] = *request.top_p;
  if (request.top_k != 0) config["topK"] = request.top_k;
  if (request.seed) config["seed"] = *request.seed;
  if (!request.stop.empty()) config["stopSequences"] = request.stop;
  add_thinking(request, config);
  if (!request.schema.empty()) {
    config["responseMimeType"] = "application/json";
    config["responseJsonSchema"] = schema_of(request.schema);
  }
  return config;
}

// ---- Answers -------------------------------------------------------------------------------------

constexpr std::array kFinishWords = {
    FinishWord{"STOP", "stop"},
    FinishWord{"MAX_TOKENS", "length"},
    FinishWord{"SAFETY", "content_filter"},
    FinishWord{"RECITATION", "content_filter"},
    FinishWord{"LANGUAGE", "content_filter"},
    FinishWord{"BLOCKLIST", "content_filter"},
    FinishWord{"PROHIBITED_CONTENT", "content_filter"},
    FinishWord{"SPII", "content_filter"},
    FinishWord{"IMAGE_SAFETY", "content_filter"},
};

void take_part(const Json& part, Answer& answer) {
  const Json& thought = member(part, "thought");
  if (thought.is_boolean() && thought.get<bool>()) return answer.add_reasoning(member(part, "text"));
  answer.add_text(member(part, "text"));
  const Json& call = member(part, "functionCall");
  if (!call.is_object()) return;
  const auto key = static_cast<std::int64_t>(answer.n_calls());
  answer.begin_call(key, text_member(call, "id"), text_member(call, "name"));
  answer.carry(key, text_member(part, "thoughtSignature"));
  answer.end_call(key, member(call, "args"));
}

void take_candidate(const Json& candidate, Answer& answer) {
  const Json& parts = member(member(candidate, "content"), "parts");
  for (std::size_t i = 0; parts.is_array() && i < parts.size(); ++i) take_part(parts[i], answer);
  const std::string reason = text_member(candidate, "finishReason");
  const std::string_view word = finish_word(kFinishWords, reason);
  answer.finish(word == "stop" && answer.has_calls() ? "tool_calls" : word);
}

// A count of zero is left out.  Each event repeats what was used so far; the last one's output is the whole.
void take_use(const Json& usage, bool is_end, TokenUse& use) {
  if (!usage.is_object()) return;
  const auto count = [&](const char* key) { return std::max<std::int64_t>(count_member(usage, key), 0); };
  use.prompt_tokens = count("promptTokenCount") + count("toolUsePromptTokenCount");
  use.cached_tokens = count("cachedContentTokenCount");
  if (!is_end) return;
  use.reasoning_tokens = count("thoughtsTokenCount");
  use.completion_tokens = count("candidatesTokenCount") + use.reasoning_tokens;
}

}  // namespace

std::string gemini_url(const std::string& base, const std::string& model) {
  const bool is_path = model.find('/') != std::string::npos;  // "tunedModels/NAME".
  return base + (is_path ? "/" : "/models/") + model + ":streamGenerateContent?alt=sse";
}

void add_gemini_headers(const std::string& key, std::vector<net::HttpHeader>& headers) {
  if (!key.empty()) headers.push_back({"x-goog-api-key", key, true});
}

std::string gemini_body(const WireRequest& request) {
  Contents contents;
  for (const WireTurn& turn : request.turns) contents.add(turn);
  Body body = {{"contents", contents.take()}};
  if (!request.system.empty()) {
    body["systemInstruction"]["parts"] = Body::array({{{"text", request.system}}});
  }
  if (Body config = config_of(request); !config.empty()) body["generationConfig"] = std::move(config);
  add_tools(request, body);
  return dump(body);
}

void take_content(const Json& event, bool, Answer& answer) {
  if (const Json& error = member(event, "error"); !error.is_null()) answer.fail(read_error(error));
  answer.set_model(text_member(event, "modelVersion"));
  const Json& candidates = member(event, "candidates");
  if (candidates.is_array() && !candidates.empty()) take_candidate(candidates[0], answer);
  const std::string blocked = text_member(member(event, "promptFeedback"), "blockReason");
  if (!blocked.empty()) answer.finish("content_filter");
  take_use(member(event, "usageMetadata"), !answer.finish_reason().empty(), answer.use());
}

}  // namespace hearth::advisor
