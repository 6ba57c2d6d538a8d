#include "cli/answer_source.h"

#include <utility>

#include "cli/background.h"
#include "cli/open_hub.h"
#include "cli/pending_answer.h"
#include "cli/remote_answer_source.h"

namespace hearth::cli {
namespace {

// Hands a hub's events to a PendingAnswer.
class LocalSink final : public hub::ChatSink {
 public:
  explicit LocalSink(std::shared_ptr<PendingAnswer> pending) : pending_(std::move(pending)) {}

  void on_text(std::uint32_t, const std::string& text, const engine::TokenEvent&) override { pending_->add_text(text); }
  void on_reasoning(std::uint32_t, const std::string& text) override { pending_->add_thinking(text); }
  void on_tool_call(std::uint32_t, const hub::ToolCallPiece&) override {}  // None is offered.
  void on_status(const std::string& text) override { pending_->add_status(text); }
  void on_departure(const advisor::DeparturePtr& departure) override { pending_->add_departure(departure); }
  void on_choice_end(std::uint32_t, const hub::ChoiceEnd& end) override { pending_->set_reason(end.reason); }
  void on_finish(const hub::Usage&, const hub::Receipt& receipt) override { pending_->end(receipt); }
  void on_error(const Error& error) override { pending_->end(std::unexpected(error)); }

 private:
  std::shared_ptr<PendingAnswer> pending_;
};

constexpr const char* kClient = "cli";  // Who asks, and may agree.

class LocalAnswerSource final : public AnswerSource {
 public:
  explicit LocalAnswerSource(std::unique_ptr<hub::Hub> hub) : hub_(std::move(hub)) {}

  Result<Answer> answer(const std::vector<hub::Message>& messages, const AnswerOptions& options,
                        const AnswerListener& listener) override {
    hub::ChatRequest request{.model = options.model, .messages = messages, .max_tokens = options.max_tokens};
    request.has_temperature = options.temperature.has_value();
    request.sampling.temperature = options.temperature.value_or(request.sampling.temperature);
    request.has_seed = options.seed.has_value();
    if (options.seed) request.sampling.seed = *options.seed;
    request.advice = advice_of(options.advice);
    request.client = kClient;
    request.is_preview = options.is_preview;
    request.may_store = options.may_store;
    const auto pending = std::make_shared<PendingAnswer>();
    HEARTH_TRY(const hub::RequestId id, hub_->chat(std::move(request), std::make_shared<LocalSink>(pending)));
    return pending->wait(listener, [&] { hub_->cancel(id); }, [&](const std::string& consent, const ConsentReply& reply) {
      const auto done = hub_->answer_consent(consent, kClient, reply.is_allowed, reply.is_remembered);
      if (!done) pending->add_status(done.error().message);
    });
  }

 private:
  static std::optional<hub::AdviceMode> advice_of(const std::string& name) {
    if (name == "never") return hub::AdviceMode::kNever;
    if (name == "auto") return hub::AdviceMode::kAuto;
    if (name == "always") return hub::AdviceMode::kAlways;
    return std::nullopt;
  }

  std::unique_ptr<hub::Hub> hub_;
};

}  // namespace

Result<std::unique_ptr<AnswerSource>> AnswerSource::open(const Context& context, const AnswerOptions& options) {
  if (options.hub != "" && options.hub != "local" && options.hub != "hub") return RemoteAnswerSource::open(options.hub);
  if (options.hub != "local") {
    const auto running = find_running();
    if (running) return RemoteAnswerSource::open(running->url);
    if (options.hub == "hub") return std::unexpected(running.error());
  }
  HEARTH_TRY(auto hub, open_hub(context.config));
  return std::make_unique<LocalAnswerSource>(std::move(hub));
}

}  // namespace hearth::cli
