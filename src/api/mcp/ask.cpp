#include "api/mcp/ask.h"

#include <fmt/format.h>

#include <array>
#include <random>
#include <utility>

#include "api/chat_fields.h"
#include "api/json_writer.h"
#include "api/openai/request.h"
#include "hub/receipt_json.h"

namespace hearth::api::mcp {
namespace {

constexpr auto kAskNames = std::to_array<std::string_view>({"question", "model", "system", "max_tokens", "temperature", "seed", "advice"});

// Gathers an answer and tells of it meanwhile.
//
// Threading: the hub's events come one at a time.
class AnswerSink final : public hub::ChatSink {
 public:
  AnswerSink(const ToolHost& host, std::shared_ptr<ToolRun> run, AnswerDone done) : host_(host), run_(std::move(run)), done_(std::move(done)) {}

  void on_text(std::uint32_t, const std::string& text, const engine::TokenEvent&) override {
    answer_.text += text;
    run_->add_text(text);
  }
  void on_reasoning(std::uint32_t, const std::string&) override {}
  void on_tool_call(std::uint32_t, const hub::ToolCallPiece&) override {}  // None is offered.
  void on_status(const std::string& text) override { run_->say(text); }
  void on_advice(const std::string& adviser, const std::string&) override { run_->say("advice came from " + adviser); }
  void on_departure(const advisor::DeparturePtr& departure) override {
    if (!host_.has_consent_desk) {
      run_->say(fmt::format("a call to {} was refused: nobody can consent to it here; start `hearth serve` first", departure->provider));
      host_.submit([&hub = host_.hub, departure, client = run_->caller().client] {
        (void)hub.answer_consent(departure->consent, client, /*is_allowed=*/false, /*is_remembered=*/false);  // Else time refuses it.
      });
      return;
    }
    run_->say(fmt::format("a call to {} waits for your consent at the hub: its page shows the exact bytes, or POST /hearth/v1/consents/{}",
                          departure->provider, departure->consent));
  }
  void on_choice_end(std::uint32_t, const hub::ChoiceEnd& end) override { answer_.reason = end.reason; }
  void on_finish(const hub::Usage&, const hub::Receipt& receipt) override {
    answer_.receipt = receipt;
    done_(std::move(answer_));
  }
  void on_error(const Error& error) override { done_(std::unexpected(error)); }

 private:
  const ToolHost host_;
  const std::shared_ptr<ToolRun> run_;
  const AnswerDone done_;
  Answered answer_;
};

Parsed<hub::ChatRequest> read_ask(dom::object arguments) {
  HEARTH_TRY_VOID(check_names(arguments, kAskNames));
  HEARTH_TRY(hub::ChatRequest request, read_question(arguments));
  if (const auto model = member(arguments, "model")) HEARTH_TRY_VOID(set_model(request, "model", *model));
  if (const auto advice = member(arguments, "advice")) {
    HEARTH_TRY(const std::string_view name, as_string("advice", *advice));
    HEARTH_TRY(request.advice, openai::parse_advice(name, "advice"));
  }
  return request;
}

}  // namespace

Parsed<hub::ChatRequest> read_question(dom::object arguments) {
  hub::ChatRequest request;
  HEARTH_TRY(std::string question, required_text(arguments, "question", kMessageBytesMax));
  if (member(arguments, "system")) {
    HEARTH_TRY(std::string system, required_text(arguments, "system", kMessageBytesMax));
    request.messages.push_back({.role = hub::Role::kSystem, .content = std::move(system)});
  }
  request.messages.push_back({.role = hub::Role::kUser, .content = std::move(question)});
  if (const auto value = member(arguments, "max_tokens")) HEARTH_TRY_VOID(set_max_tokens(request, "max_tokens", *value));
  if (const auto value = member(arguments, "temperature")) HEARTH_TRY_VOID(set_temperature(request, "temperature", *value));
  if (const auto value = member(arguments, "seed")) HEARTH_TRY_VOID(set_seed(request, "seed", *value));
  if (!request.has_seed) request.sampling.seed = std::random_device{}();
  return request;
}

void ask_hub(const ToolHost& host, hub::ChatRequest request, const std::shared_ptr<ToolRun>& run, AnswerDone done) {
  request.client = run->caller().client;
  request.headers = run->caller().headers;
  const auto sink = std::make_shared<AnswerSink>(host, run, std::move(done));
  const auto id = host.hub.chat(std::move(request), sink);
  if (!id) return sink->on_error(id.error());
  run->on_cancel([&hub = host.hub, id = *id] { hub.cancel(id); });
}

void write_answer(JsonWriter& json, const Answered& answer) {
  json.key("answer").value(answer.text);
  json.key("finish_reason").value(answer.reason == engine::FinishReason::kLength ? "length" : "stop");
  json.key("receipt").raw(hub::receipt_to_json(answer.receipt));
}

void start_ask(const ToolHost& host, dom::object arguments, std::shared_ptr<ToolRun> run) {
  auto request = read_ask(arguments);
  if (!request) return run->fail(request.error().message);
  ask_hub(host, *std::move(request), run, [run](Result<Answered> answer) {
    if (!answer) return run->fail(answer.error().message);
    std::string out;
    JsonWriter json(out);
    json.begin_object();
    write_answer(json, *answer);
    json.end_object();
    run->succeed(out);
  });
}

}  // namespace hearth::api::mcp
