#include "hub/private_adviser.h"

#include <fmt/format.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "base/clock.h"
#include "base/log.h"
#include "hub/worker.h"
#include "privacy/placeholders.h"

namespace hearth::hub {
namespace {

// Puts the values into an answer and passes it on.
class RestoringSink final : public advisor::AdviceSink {
 public:
  RestoringSink(std::shared_ptr<advisor::AdviceSink> sink, privacy::Placeholders placeholders)
      : sink_(std::move(sink)), placeholders_(std::move(placeholders)) {}

  void on_advice(const advisor::Advice& advice) override {
    if (placeholders_.size() == 0) return sink_->on_advice(advice);
    advisor::Advice restored = advice;
    privacy::RestoreReport report;
    restored.text = privacy::restore(placeholders_, advice.text, report);
    const std::string strange = strange_placeholders(report, "the advice");
    if (!strange.empty()) restored.detail += (restored.detail.empty() ? "" : "; ") + strange;
    sink_->on_advice(restored);
  }
  void on_departure(const advisor::DeparturePtr& departure) override { sink_->on_departure(departure); }

 private:
  const std::shared_ptr<advisor::AdviceSink> sink_;
  const privacy::Placeholders placeholders_;
};

// Keeps advice that came, as it is passed on.
class RememberingSink final : public advisor::AdviceSink {
 public:
  RememberingSink(std::shared_ptr<advisor::AdviceSink> sink, advisor::AdviceStore& memory, Worker& writer,
                  advisor::AdviceKey key, advisor::RememberedAdvice advice)
      : sink_(std::move(sink)), memory_(memory), writer_(writer), key_(std::move(key)), advice_(std::move(advice)) {}

  void on_advice(const advisor::Advice& advice) override {
    if (advice.status == advisor::AdviceStatus::kAnswered && advice.detail.empty()) {
      advice_.advice = advice.text;
      advice_.adviser = advice.adviser;
      writer_.post([&memory = memory_, key = std::move(key_), kept = std::move(advice_)] {
        if (const auto done = memory.remember(key, kept); !done) {
          log_warn("hub", fmt::format("advice is not remembered: {}", done.error().message));
        }
      });
    }
    sink_->on_advice(advice);
  }
  void on_departure(const advisor::DeparturePtr& departure) override { sink_->on_departure(departure); }

 private:
  const std::shared_ptr<advisor::AdviceSink> sink_;
  advisor::AdviceStore& memory_;
  Worker& writer_;
  advisor::AdviceKey key_;
  advisor::RememberedAdvice advice_;
};

// Remembered advice as an answer to this question: what it said of another draft says so.
advisor::Advice advice_of(const advisor::RememberedAdvice& found, const std::string& draft) {
  const bool is_of_other_draft = !found.draft.empty() && found.draft != draft;
  return {.status = advisor::AdviceStatus::kAnswered,
          .text = is_of_other_draft ? fmt::format("(On this earlier draft: {})\n\n{}", found.draft, found.advice) : found.advice,
          .detail = fmt::format("it is remembered advice of {} (likeness {:.2f}), so nothing left this machine",
                                format_iso8601(found.at_unix_us).substr(0, 10), found.likeness),
          .adviser = found.adviser,
          .remembered = found.id};
}

class PrivateAdviser final : public advisor::Adviser {
 public:
  PrivateAdviser(std::unique_ptr<advisor::Adviser> inner, const PrivacyGate& gate, std::vector<std::string> providers,
                 advisor::AdviceStore* memory)
      : gate_(gate), providers_(std::move(providers)), memory_(memory), inner_(std::move(inner)) {
    if (providers_.empty()) providers_.push_back(inner_->options().provider);
  }

  const advisor::AdviserOptions& options() const override { return inner_->options(); }

  advisor::AdviceId ask(advisor::AdviceRequest request, std::shared_ptr<advisor::AdviceSink> sink) override {
    const advisor::AdviceId id{++last_id_};
    {
      const std::lock_guard lock(mutex_);
      questions_.emplace(id, Question{});
    }
    worker_.post([this, id, request = std::make_shared<advisor::AdviceRequest>(std::move(request)),
                  sink = std::make_shared<Forgetting>(*this, id, std::move(sink))] {
      judge(id, *request, sink);
    });
    return id;
  }

  void cancel(advisor::AdviceId id) override {
    std::optional<advisor::AdviceId> inner;
    {
      const std::lock_guard lock(mutex_);
      const auto found = questions_.find(id);
      if (found == questions_.end()) return;
      found->second.is_cancelled = true;
      inner = found->second.inner;
    }
    if (inner) inner_->cancel(*inner);
  }

 private:
  struct Question {
    std::optional<advisor::AdviceId> inner;  // Once it is on its way.
    bool is_cancelled = false;
  };

  // Ends the bookkeeping of a question with its answer.
  class Forgetting final : public advisor::AdviceSink {
   public:
    Forgetting(PrivateAdviser& owner, advisor::AdviceId id, std::shared_ptr<advisor::AdviceSink> sink)
        : owner_(owner), id_(id), sink_(std::move(sink)) {}
    void on_advice(const advisor::Advice& advice) override {
      {
        const std::lock_guard lock(owner_.mutex_);
        owner_.questions_.erase(id_);
      }
      sink_->on_advice(advice);
    }
    void on_departure(const advisor::DeparturePtr& departure) override { sink_->on_departure(departure); }

   private:
    PrivateAdviser& owner_;
    const advisor::AdviceId id_;
    const std::shared_ptr<advisor::AdviceSink> sink_;
  };

  void judge(advisor::AdviceId id, advisor::AdviceRequest& request, std::shared_ptr<advisor::AdviceSink> sink) {
    const privacy::Verdict verdict = gate_.judge(request.sources, providers_);
    request.label = label_of(verdict);
    if (verdict.action == privacy::Action::kNever) {
      return sink->on_advice({.status = advisor::AdviceStatus::kDenied,
                              .text = {},
                              .detail = fmt::format("the privacy policy keeps it here: {} may not leave", request.label)});
    }
    if (memory_ != nullptr && request.memory && !request.conversation.empty()) {
      request.memory->gives = privacy::class_name(verdict.gives);
      request.memory->adviser = inner_->options().full_name();
      if (const auto found = recalled(request)) return sink->on_advice(advice_of(*found, request.draft));
      sink = remembering(request, std::move(sink));
    }
    Redaction redaction(gate_);
    if (verdict.action != privacy::Action::kFree) {
      for (advisor::BriefMessage& message : request.conversation) redaction.hide(message.text);
      redaction.hide(request.draft);
      request.label += ", " + redaction.summary();
    }
    if (verdict.action == privacy::Action::kAsk) {
      request.consent = {.client = request.client,
                         .gives = std::string(privacy::class_name(verdict.gives)),
                         .rule = verdict.rule,
                         .policy = gate_.policy().identity};
    }
    send(id, request, std::make_shared<RestoringSink>(sink, redaction.take()));
  }

  std::optional<advisor::RememberedAdvice> recalled(const advisor::AdviceRequest& request) {
    auto found = memory_->recall(*request.memory, request.conversation.back().text);
    if (found) return *std::move(found);
    log_warn("hub", fmt::format("no advice is recalled: {}", found.error().message));
    return std::nullopt;
  }

  std::shared_ptr<advisor::AdviceSink> remembering(const advisor::AdviceRequest& request,
                                                   std::shared_ptr<advisor::AdviceSink> sink) {
    advisor::RememberedAdvice kept{.receipt = request.request_id, .adviser = {},
                                   .question = request.conversation.back().text, .draft = request.draft, .advice = {}};
    return std::make_shared<RememberingSink>(std::move(sink), *memory_, memory_writer_, *request.memory, std::move(kept));
  }

  void send(advisor::AdviceId id, advisor::AdviceRequest& request, std::shared_ptr<advisor::AdviceSink> sink) {
    if (is_cancelled(id)) {
      return sink->on_advice({.status = advisor::AdviceStatus::kCancelled, .text = {}, .detail = "the question was withdrawn"});
    }
    const advisor::AdviceId inner = inner_->ask(std::move(request), std::move(sink));
    {
      const std::lock_guard lock(mutex_);
      const auto found = questions_.find(id);
      if (found == questions_.end()) return;  // It has its answer.
      found->second.inner = inner;
    }
    if (is_cancelled(id)) inner_->cancel(inner);
  }

  bool is_cancelled(advisor::AdviceId id) {
    const std::lock_guard lock(mutex_);
    const auto found = questions_.find(id);
    return found != questions_.end() && found->second.is_cancelled;
  }

  const PrivacyGate& gate_;
  std::vector<std::string> providers_;
  advisor::AdviceStore* const memory_;  // Null: nothing is remembered.
  Worker memory_writer_;
  std::atomic<std::uint64_t> last_id_ = 0;
  std::mutex mutex_;
  std::unordered_map<advisor::AdviceId, Question> questions_;  // Until they have their answer.
  const std::unique_ptr<advisor::Adviser> inner_;  // Its end answers all questions, which uses what is above.
  Worker worker_;                                  // Last: it uses all of the above.
};

}  // namespace

std::unique_ptr<advisor::Adviser> make_private(std::unique_ptr<advisor::Adviser> adviser, const PrivacyGate& gate,
                                               std::vector<std::string> providers, advisor::AdviceStore* memory) {
  return std::make_unique<PrivateAdviser>(std::move(adviser), gate, std::move(providers), memory);
}

}  // namespace hearth::hub
