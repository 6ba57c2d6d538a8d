#include "hub/upstream/cleared_request.h"

#include <fmt/format.h>

#include <array>
#include <map>
#include <utility>

#include "hub/privacy_sources.h"

namespace hearth::hub {
namespace {

// Fields that hold a JSON Schema, or JSON that an answer is chosen from.
constexpr auto kSchemaFields =
    std::to_array<std::string_view>({"response_format", "json_schema", "guided_json", "structured_outputs"});

bool holds_schema(const ChatRequest& request) {
  return std::ranges::find(kSchemaFields, request.format_field) != kSchemaFields.end();
}

void hide_message(Message& message, Redaction& redaction) {
  redaction.hide(message.content);
  redaction.hide(message.reasoning);
  // A name can't hold brackets; a tool's is the code's and not a person's.
  std::string name = message.name;
  if (message.role != Role::kTool) redaction.hide(name);
  if (name != message.name) message.name.clear();
  for (ToolCall& call : message.tool_calls) redaction.hide_in_json(call.arguments);
}

// A grammar with a placeholder in it would be another grammar.
Result<> hide_format(ChatRequest& request, Redaction& redaction) {
  if (request.format_json.empty()) return {};
  if (holds_schema(request)) {
    redaction.hide_in_schema(request.format_json);
    return {};
  }
  const std::string before = request.format_json;
  redaction.hide_in_json(request.format_json);
  if (request.format_json == before || request.format_field == "guided_choice") return {};
  return fail(Code::kPermissionDenied,
              fmt::format("'{}' holds what leaves this machine with placeholders alone, and a grammar can't have any: "
                          "take it out, or choose a model of this machine", request.format_field));
}

Result<> hide_request(ChatRequest& request, Redaction& redaction) {
  for (Message& message : request.messages) hide_message(message, redaction);
  redaction.hide(request.prompt);
  for (std::string& stop : request.stop) redaction.hide(stop);
  for (Tool& tool : request.tools) {
    redaction.hide_in_schema(tool.definition);
    redaction.hide_in_schema(tool.parameters);
  }
  if (!request.template_arguments.empty()) redaction.hide_in_json(request.template_arguments);
  return hide_format(request, redaction);
}

// Where the values of a choice's pieces go back in.  Text that is held back, since it may be the beginning
// of a placeholder, goes out before anything of another kind.
class ChoiceRestorer {
 public:
  ChoiceRestorer(const privacy::Placeholders& placeholders, privacy::RestoredInto text)
      : placeholders_(placeholders), reasoning_(placeholders), text_(placeholders, text) {}

  void restore(UpstreamPiece& piece) {
    const bool has_text = !piece.text.empty(), has_calls = !piece.calls.empty();
    piece.reasoning = reasoning_.feed(piece.reasoning);
    if (has_text || has_calls) piece.reasoning += reasoning_.finish();
    piece.text = text_.feed(piece.text);
    if (has_calls) piece.text += text_.finish();
    std::vector<ToolCallPiece> calls;
    for (ToolCallPiece& call : piece.calls) restore_call(std::move(call), calls);
    piece.calls = std::move(calls);
  }

  // What is still held back.
  void finish(UpstreamPiece& piece) {
    piece.reasoning = reasoning_.finish();
    piece.text = text_.finish();
    for (auto& [index, arguments] : arguments_) flush(index, arguments, piece.calls);
  }

  void report(privacy::RestoreReport& all) const {
    const auto add = [&](const privacy::RestoreReport& one) {
      all.unknown.insert(all.unknown.end(), one.unknown.begin(), one.unknown.end());
      all.mangled.insert(all.mangled.end(), one.mangled.begin(), one.mangled.end());
    };
    add(reasoning_.report());
    add(text_.report());
    for (const auto& [index, arguments] : arguments_) add(arguments.report());
  }

 private:
  // Calls come one after the other: another's piece ends those before it.
  void restore_call(ToolCallPiece call, std::vector<ToolCallPiece>& calls) {
    for (auto& [index, arguments] : arguments_) {
      if (index != call.index) flush(index, arguments, calls);
    }
    auto& arguments = arguments_.try_emplace(call.index, placeholders_, privacy::RestoredInto::kJson).first->second;
    const bool is_first = !call.id.empty() || !call.name.empty();
    call.arguments = arguments.feed(call.arguments);
    if (is_first || !call.arguments.empty()) calls.push_back(std::move(call));
  }

  static void flush(std::uint32_t index, privacy::Restorer& arguments, std::vector<ToolCallPiece>& calls) {
    std::string rest = arguments.finish();
    if (!rest.empty()) calls.push_back({.index = index, .id = {}, .name = {}, .arguments = std::move(rest)});
  }

  const privacy::Placeholders& placeholders_;
  privacy::Restorer reasoning_, text_;
  std::map<std::uint32_t, privacy::Restorer> arguments_;  // By the call's index.
};

class RestoringSink final : public UpstreamSink {
 public:
  RestoringSink(std::shared_ptr<UpstreamSink> sink, const ChatRequest& request, privacy::Placeholders placeholders)
      : sink_(std::move(sink)),
        text_(holds_schema(request) ? privacy::RestoredInto::kJson : privacy::RestoredInto::kText),
        placeholders_(std::move(placeholders)) {}

  void on_piece(UpstreamPiece piece) override {
    choices_.try_emplace(piece.choice, placeholders_, text_).first->second.restore(piece);
    if (!piece.is_empty()) sink_->on_piece(std::move(piece));
  }
  void on_status(const std::string& text) override { sink_->on_status(text); }
  void on_departure(const advisor::DeparturePtr& departure) override { sink_->on_departure(departure); }
  void on_end(UpstreamEnd end) override {
    privacy::RestoreReport report;
    for (auto& [choice, restorer] : choices_) {
      UpstreamPiece rest{.choice = choice};
      restorer.finish(rest);
      restorer.report(report);
      if (!rest.is_empty()) sink_->on_piece(std::move(rest));
    }
    end.odd = strange_placeholders(report, "the answer");
    sink_->on_end(std::move(end));
  }

 private:
  const std::shared_ptr<UpstreamSink> sink_;
  const privacy::RestoredInto text_;
  const privacy::Placeholders placeholders_;
  std::map<std::uint32_t, ChoiceRestorer> choices_;
};

}  // namespace

Result<ClearedRequest> clear_request(const PrivacyGate& gate, ChatRequest request, const std::string& provider) {
  const privacy::Verdict verdict = gate.judge(sources_of(request), std::array{provider});
  ClearedRequest cleared{.request = std::move(request), .label = label_of(verdict), .consent = {}, .placeholders = {}};
  if (verdict.action == privacy::Action::kNever) {
    return fail(Code::kPermissionDenied, fmt::format("the privacy policy keeps this request here: {} may not go to {}",
                                                     cleared.label, provider));
  }
  if (verdict.action == privacy::Action::kFree) {
    cleared.label += ", as it is";
    return cleared;
  }
  Redaction redaction(gate);
  HEARTH_TRY_VOID(hide_request(cleared.request, redaction));
  cleared.label += ", " + redaction.summary();
  cleared.placeholders = redaction.take();
  if (verdict.action == privacy::Action::kAsk) {
    cleared.consent = {.client = cleared.request.client,
                       .gives = std::string(privacy::class_name(verdict.gives)),
                       .rule = verdict.rule,
                       .policy = gate.policy().identity};
  }
  return cleared;
}

std::shared_ptr<UpstreamSink> make_restoring(std::shared_ptr<UpstreamSink> sink, const ChatRequest& request,
                                             privacy::Placeholders placeholders) {
  if (placeholders.size() == 0) return sink;
  return std::make_shared<RestoringSink>(std::move(sink), request, std::move(placeholders));
}

}  // namespace hearth::hub
