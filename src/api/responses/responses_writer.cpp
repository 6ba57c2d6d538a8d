#include "api/responses/responses_writer.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <utility>

#include "api/json_writer.h"
#include "api/logprobs.h"
#include "hub/receipt_json.h"
#include "net/sse.h"

namespace hearth::api::responses {
namespace {

enum class ItemKind : std::uint8_t { kReasoning, kMessage, kFunctionCall, kCustomCall };

// An entry of `output`, as far as it has come.
struct Item {
  ItemKind kind = ItemKind::kMessage;
  std::string id;
  std::string text;  // The message's, what was thought, or the call's arguments.
  std::string call_id, name;
  std::vector<engine::TokenEvent> tokens;  // For log-probabilities.
};

struct KindRow {
  const char* type;
  const char* id_prefix;
};
constexpr KindRow kKinds[] = {{"reasoning", "rs"},
                              {"message", "msg"},
                              {"function_call", "fc"},
                              {"custom_tool_call", "ctc"}};
const KindRow& row_of(ItemKind kind) { return kKinds[static_cast<std::size_t>(kind)]; }

void write_part(JsonWriter& json, const Item& item) {
  json.begin_object();
  if (item.kind == ItemKind::kReasoning) {
    json.key("type").value("reasoning_text").key("text").value(item.text);
  } else {
    json.key("type").value("output_text").key("text").value(item.text);
    json.key("annotations").begin_array().end_array().key("logprobs");
    write_logprobs(json, item.tokens);
  }
  json.end_object();
}

// `is_new`: as an item is announced, without its content.
void write_item(JsonWriter& json, const Item& item, bool is_new, const char* end_status) {
  json.begin_object().key("type").value(row_of(item.kind).type).key("id").value(item.id);
  json.key("status").value(is_new ? "in_progress" : end_status);
  switch (item.kind) {
    case ItemKind::kReasoning:
      json.key("summary").begin_array().end_array();
      [[fallthrough]];
    case ItemKind::kMessage:
      if (item.kind == ItemKind::kMessage) json.key("role").value("assistant");
      json.key("content").begin_array();
      if (!is_new) write_part(json, item);
      json.end_array();
      break;
    case ItemKind::kFunctionCall:
      json.key("call_id").value(item.call_id).key("name").value(item.name);
      json.key("arguments").value(is_new ? "" : item.text);
      break;
    case ItemKind::kCustomCall:
      json.key("call_id").value(item.call_id).key("name").value(item.name);
      json.key("input").value(is_new ? "" : custom_input(item.text));
      break;
  }
  json.end_object();
}

void write_usage(JsonWriter& json, const hub::Usage& usage) {
  json.begin_object().key("input_tokens").value(usage.prompt_tokens);
  json.key("input_tokens_details").begin_object().key("cached_tokens").value(usage.cached_tokens).end_object();
  json.key("output_tokens").value(usage.completion_tokens);
  json.key("output_tokens_details").begin_object().key("reasoning_tokens").value(0).end_object();
  json.key("total_tokens").value(std::uint64_t{usage.prompt_tokens} + usage.completion_tokens).end_object();
}

// What a response says of how it ended.
struct Outcome {
  const char* status = "in_progress";
  const char* incomplete_reason = nullptr;
  const ApiError* error = nullptr;
  const hub::Usage* usage = nullptr;
  const hub::Receipt* receipt = nullptr;
};

Outcome outcome_of(const hub::ChoiceEnd& end, const hub::Usage& usage, const hub::Receipt& receipt) {
  const bool is_whole = end.reason == engine::FinishReason::kStop;
  return {.status = is_whole ? "completed" : "incomplete",
          .incomplete_reason = is_whole ? nullptr : "max_output_tokens",
          .usage = &usage,
          .receipt = &receipt};
}

class ResponsesWriter final : public AnswerWriter {
 public:
  ResponsesWriter(AnswerMark mark, const Asked& asked) : mark_(std::move(mark)), asked_(asked) {}

  bool wants_tokens() const override { return asked_.has_logprobs; }
  std::string whole(std::span<const Choice> choices, const hub::Usage& usage,
                    const hub::Receipt& receipt) const override;
  void begin(std::string& out) override;
  void text(std::string& out, std::uint32_t choice, std::string_view text,
            const engine::TokenEvent& token) override;
  void reasoning(std::string& out, std::uint32_t choice, std::string_view text) override;
  void tool_call(std::string& out, std::uint32_t choice, const hub::ToolCallPiece& piece) override;
  void status(std::string& out, std::string_view text) override { net::append_sse_comment(out, text); }
  void choice_end(std::string& out, std::uint32_t choice, const hub::ChoiceEnd& end) override;
  void finish(std::string& out, const hub::Usage& usage, const hub::Receipt& receipt) override;
  void error(std::string& out, const ApiError& error) override;

 private:
  Item make_item(ItemKind kind, std::size_t index) const {
    return {.kind = kind, .id = fmt::format("{}_{}{:04x}", row_of(kind).id_prefix, mark_.id, index)};
  }
  ItemKind kind_of_call(const std::string& name) const {
    const bool is_custom = std::ranges::find(asked_.custom_tools, name) != asked_.custom_tools.end();
    return is_custom ? ItemKind::kCustomCall : ItemKind::kFunctionCall;
  }
  std::string response(std::span<const Item> items, const Outcome& outcome) const;

  void send(std::string& out, const char* type, const auto& write);
  void send_response(std::string& out, const char* type, const Outcome& outcome);
  void send_part(std::string& out, const char* type);
  Item& open(std::string& out, ItemKind kind, const hub::ToolCallPiece* piece);
  void close(std::string& out);

  const AnswerMark mark_;
  const Asked asked_;
  std::vector<Item> items_;
  bool is_open_ = false;  // The last item.
  std::uint64_t n_events_ = 0;
  hub::ChoiceEnd end_;
};

std::string ResponsesWriter::response(std::span<const Item> items, const Outcome& outcome) const {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("id").value("resp_" + mark_.id).key("object").value("response");
  json.key("created_at").value(mark_.created_unix_us / 1'000'000);
  json.key("status").value(outcome.status).key("background").value(false).key("error");
  if (outcome.error == nullptr) {
    json.null();
  } else {
    json.begin_object().key("code").value(outcome.error->code).key("message").value(outcome.error->message);
    json.end_object();
  }
  json.key("incomplete_details");
  if (outcome.incomplete_reason == nullptr) {
    json.null();
  } else {
    json.begin_object().key("reason").value(outcome.incomplete_reason).end_object();
  }
  json.key("instructions").value_or_null(asked_.instructions).key("max_output_tokens");
  asked_.max_output_tokens == 0 ? json.null() : json.value(asked_.max_output_tokens);
  json.key("model").value(asked_.model).key("output").begin_array();
  for (const Item& item : items) write_item(json, item, false, outcome.status);
  json.end_array().key("parallel_tool_calls").value(asked_.calls_in_parallel);
  json.key("previous_response_id").null().key("reasoning").begin_object();
  json.key("effort").value_or_null(asked_.effort).key("summary").null().end_object();
  json.key("store").value(asked_.is_stored).key("temperature").value(asked_.temperature);
  json.key("text").begin_object().key("format").raw(asked_.format_json).end_object();
  json.key("tool_choice").raw(asked_.tool_choice_json).key("tools").raw(asked_.tools_json);
  json.key("top_p").value(asked_.top_p).key("truncation").value("disabled").key("usage");
  if (outcome.usage == nullptr) {
    json.null();
  } else {
    write_usage(json, *outcome.usage);
  }
  json.key("user").null().key("metadata").begin_object().end_object();
  if (outcome.receipt != nullptr) json.key("hearth").raw(hub::receipt_to_json(*outcome.receipt));
  json.end_object();
  return out;
}

std::string ResponsesWriter::whole(std::span<const Choice> choices, const hub::Usage& usage,
                                   const hub::Receipt& receipt) const {
  const Choice& choice = choices[0];
  std::vector<Item> items;
  if (!choice.reasoning.empty()) {
    items.push_back(make_item(ItemKind::kReasoning, items.size()));
    items.back().text = choice.reasoning;
  }
  if (!choice.text.empty() || choice.tool_calls.empty()) {
    items.push_back(make_item(ItemKind::kMessage, items.size()));
    items.back().text = choice.text;
    items.back().tokens = choice.tokens;
  }
  for (const hub::ToolCall& call : choice.tool_calls) {
    items.push_back(make_item(kind_of_call(call.name), items.size()));
    Item& item = items.back();
    item.call_id = call.id;
    item.name = call.name;
    item.text = call.arguments;
  }
  return response(items, outcome_of(choice.end, usage, receipt));
}

// ---- Events ----

// `write(json)` adds the event's own members.
void ResponsesWriter::send(std::string& out, const char* type, const auto& write) {
  std::string data;
  JsonWriter json(data);
  json.begin_object().key("type").value(type).key("sequence_number").value(n_events_++);
  write(json);
  json.end_object();
  net::append_sse_event(out, data, type);
}

void ResponsesWriter::send_response(std::string& out, const char* type, const Outcome& outcome) {
  send(out, type, [&](JsonWriter& json) { json.key("response").raw(response(items_, outcome)); });
}

void write_place(JsonWriter& json, const Item& item, std::size_t index) {
  json.key("item_id").value(item.id).key("output_index").value(index);
}

void ResponsesWriter::send_part(std::string& out, const char* type) {
  const Item& item = items_.back();
  send(out, type, [&](JsonWriter& json) {
    write_place(json, item, items_.size() - 1);
    json.key("content_index").value(0).key("part");
    write_part(json, item);
  });
}

void ResponsesWriter::begin(std::string& out) {
  send_response(out, "response.created", {});
  send_response(out, "response.in_progress", {});
}

// The open item of this kind; a call's first piece (`piece`) opens one of its own.
Item& ResponsesWriter::open(std::string& out, ItemKind kind, const hub::ToolCallPiece* piece) {
  if (is_open_ && items_.back().kind == kind && piece == nullptr) return items_.back();
  close(out);
  items_.push_back(make_item(kind, items_.size()));
  Item& item = items_.back();
  if (piece != nullptr) {
    item.call_id = piece->id;
    item.name = piece->name;
  }
  is_open_ = true;
  send(out, "response.output_item.added", [&](JsonWriter& json) {
    json.key("output_index").value(items_.size() - 1).key("item");
    write_item(json, item, true, "");
  });
  if (kind == ItemKind::kMessage || kind == ItemKind::kReasoning) send_part(out, "response.content_part.added");
  return item;
}

// Says the whole of the open item.
void ResponsesWriter::close(std::string& out) {
  if (!std::exchange(is_open_, false)) return;
  const Item& item = items_.back();
  const std::size_t index = items_.size() - 1;
  struct Row {
    const char* type;
    const char* member;
  };
  static constexpr Row kDone[] = {{"response.reasoning_text.done", "text"},
                                  {"response.output_text.done", "text"},
                                  {"response.function_call_arguments.done", "arguments"},
                                  {"response.custom_tool_call_input.done", "input"}};
  const Row& row = kDone[static_cast<std::size_t>(item.kind)];
  const bool has_parts = item.kind == ItemKind::kMessage || item.kind == ItemKind::kReasoning;
  send(out, row.type, [&](JsonWriter& json) {
    write_place(json, item, index);
    if (has_parts) json.key("content_index").value(0);
    if (item.kind == ItemKind::kFunctionCall) json.key("name").value(item.name);
    json.key(row.member).value(item.kind == ItemKind::kCustomCall ? custom_input(item.text) : item.text);
    if (item.kind != ItemKind::kMessage) return;
    json.key("logprobs");
    write_logprobs(json, item.tokens);
  });
  if (has_parts) send_part(out, "response.content_part.done");
  send(out, "response.output_item.done", [&](JsonWriter& json) {
    json.key("output_index").value(index).key("item");
    write_item(json, item, false, "completed");
  });
}

void ResponsesWriter::text(std::string& out, std::uint32_t, std::string_view text,
                           const engine::TokenEvent& token) {
  const bool reports = asked_.has_logprobs && !token.token.bytes.empty();
  if (text.empty() && !reports) return;  // Held back; nothing to say.
  Item& item = open(out, ItemKind::kMessage, nullptr);
  item.text += text;
  if (reports) item.tokens.push_back(token);
  send(out, "response.output_text.delta", [&](JsonWriter& json) {
    write_place(json, item, items_.size() - 1);
    json.key("content_index").value(0).key("delta").value(text).key("logprobs");
    write_logprobs(json, std::span(&token, reports ? 1 : 0));
  });
}

void ResponsesWriter::reasoning(std::string& out, std::uint32_t, std::string_view text) {
  Item& item = open(out, ItemKind::kReasoning, nullptr);
  item.text += text;
  send(out, "response.reasoning_text.delta", [&](JsonWriter& json) {
    write_place(json, item, items_.size() - 1);
    json.key("content_index").value(0).key("delta").value(text);
  });
}

// A custom tool's input is known when its arguments are whole.
void ResponsesWriter::tool_call(std::string& out, std::uint32_t, const hub::ToolCallPiece& piece) {
  const bool is_first = !piece.id.empty();
  if (!is_first && !is_open_) return;
  Item& item = is_first ? open(out, kind_of_call(piece.name), &piece) : items_.back();
  item.text += piece.arguments;
  if (item.kind == ItemKind::kCustomCall || piece.arguments.empty()) return;
  send(out, "response.function_call_arguments.delta", [&](JsonWriter& json) {
    write_place(json, item, items_.size() - 1);
    json.key("delta").value(piece.arguments);
  });
}

void ResponsesWriter::choice_end(std::string& out, std::uint32_t, const hub::ChoiceEnd& end) {
  if (items_.empty()) open(out, ItemKind::kMessage, nullptr);  // An empty answer is one, too.
  close(out);
  end_ = end;
}

void ResponsesWriter::finish(std::string& out, const hub::Usage& usage, const hub::Receipt& receipt) {
  const Outcome outcome = outcome_of(end_, usage, receipt);
  const bool is_whole = outcome.incomplete_reason == nullptr;
  send_response(out, is_whole ? "response.completed" : "response.incomplete", outcome);
}

void ResponsesWriter::error(std::string& out, const ApiError& error) {
  send_response(out, "response.failed", {.status = "failed", .error = &error});
}

}  // namespace

std::unique_ptr<AnswerWriter> make_responses_writer(const AnswerMark& mark, const Asked& asked) {
  return std::make_unique<ResponsesWriter>(mark, asked);
}

std::string custom_arguments(std::string_view input) {
  std::string out;
  JsonWriter(out).begin_object().key("input").value(input).end_object();
  return out;
}

std::string custom_input(const std::string& arguments) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  std::string_view input;
  if (parser.parse(arguments).get(root) != simdjson::SUCCESS) return arguments;
  if (root.at_key("input").get(input) != simdjson::SUCCESS) return arguments;
  return std::string(input);
}

}  // namespace hearth::api::responses
