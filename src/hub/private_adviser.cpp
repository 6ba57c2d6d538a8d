#include "hub/private_adviser.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <unordered_map>

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
    if (!report.is_clean()) {
      std::vector<std::string> strange = report.unknown;
      strange.insert(strange.end(), report.mangled.begin(), report.mangled.end());
      restored.detail += fmt::format("{}the advice names placeholders that were not given out: {}",
                                     restored.detail.empty() ? "" : "; ", fmt::join(strange, ", "));
    }
    sink_->on_advice(restored);
  }

 private:
  const std::shared_ptr<advisor::AdviceSink> sink_;
  const privacy::Placeholders placeholders_;
};

class PrivateAdviser final : public advisor::Adviser {
 public:
  PrivateAdviser(std::unique_ptr<advisor::Adviser> inner, PrivacyOptions options)
      : policy_(std::move(options.policy)), redactor_(std::move(options.dictionary)), providers_(std::move(options.providers)), inner_(std::move(inner)) {
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

   private:
    PrivateAdviser& owner_;
    const advisor::AdviceId id_;
    const std::shared_ptr<advisor::AdviceSink> sink_;
  };

  void judge(advisor::AdviceId id, advisor::AdviceRequest& request, const std::shared_ptr<advisor::AdviceSink>& sink) {
    const privacy::Verdict verdict = strictest(request.sources);
    const std::string label = fmt::format("class {} by rule '{}'", privacy::class_name(verdict.gives), verdict.rule);
    if (verdict.action == privacy::Action::kNever || verdict.action == privacy::Action::kAsk) {
      const bool is_ask = verdict.action == privacy::Action::kAsk;
      return sink->on_advice({.status = advisor::AdviceStatus::kDenied,
                              .text = {},
                              .detail = fmt::format("the privacy policy keeps it here: {} {}", label,
                                                    is_ask ? "may leave only where somebody agreed" : "may not leave")});
    }
    privacy::Placeholders placeholders;
    request.rule += "; " + label;
    if (verdict.action == privacy::Action::kRedacted) request.rule += redact(request, placeholders);
    send(id, request, std::make_shared<RestoringSink>(sink, std::move(placeholders)));
  }

  // Of the verdicts for all whom the question may reach.
  privacy::Verdict strictest(const privacy::Sources& sources) const {
    privacy::Verdict verdict = policy_.judge(sources, providers_.front());
    for (const std::string& provider : providers_) {
      privacy::Verdict other = policy_.judge(sources, provider);
      if (other.action > verdict.action) verdict = std::move(other);
    }
    return verdict;
  }

  // Replaces in the whole question; what the ledger is told of it.
  std::string redact(advisor::AdviceRequest& request, privacy::Placeholders& placeholders) const {
    std::map<std::string, std::size_t> counts;
    const auto hide = [&](std::string& text) {
      privacy::Spans spans = redactor_.find(text);
      std::erase_if(spans, [&](const privacy::Span& span) { return policy_.keeps(span.type); });
      for (const auto& [type, n] : privacy::count_types(spans)) counts[type] += n;
      text = placeholders.redact(text, spans);
    };
    for (advisor::BriefMessage& message : request.conversation) hide(message.text);
    hide(request.draft);
    if (counts.empty()) return ", nothing to redact";
    std::vector<std::string> list;
    for (const auto& [type, n] : counts) list.push_back(fmt::format("{} {}", type, n));
    return fmt::format(", redacted: {}", fmt::join(list, ", "));
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

  const privacy::Policy policy_;
  const privacy::Redactor redactor_;
  std::vector<std::string> providers_;
  std::atomic<std::uint64_t> last_id_ = 0;
  std::mutex mutex_;
  std::unordered_map<advisor::AdviceId, Question> questions_;  // Until they have their answer.
  const std::unique_ptr<advisor::Adviser> inner_;  // Its end answers all questions, which uses what is above.
  Worker worker_;                                  // Last: it uses all of the above.
};

}  // namespace

std::unique_ptr<advisor::Adviser> make_private(std::unique_ptr<advisor::Adviser> adviser, PrivacyOptions options) {
  return std::make_unique<PrivateAdviser>(std::move(adviser), std::move(options));
}

}  // namespace hearth::hub
