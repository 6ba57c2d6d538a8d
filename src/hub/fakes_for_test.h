// Stand-ins for what the hub works with, scripted by a test: a model without weights, an
// engine that says what it is told, an adviser without a network, a sink that remembers.
// Header-only, so that no product binary carries them.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "advisor/adviser.h"
#include "hub/conductor.h"
#include "hub/create_hub.h"
#include "ledger/ledger.h"
#include "store/adapters.h"

namespace hearth::hub {

using std::chrono::milliseconds;

// A byte-level vocabulary with ChatML's control tokens; forward passes are not for this one.
class FakeModel final : public model::Model {
 public:
  explicit FakeModel(bool has_unsure_token = false, bool relays = false) {
    text::VocabSpec spec;
    spec.model = "llama";
    const auto add = [&](std::string text, text::TokenType type) {
      spec.tokens.push_back(std::move(text));
      spec.types.push_back(type);
      spec.scores.push_back(0);
    };
    add("<unk>", text::TokenType::kUnknown);
    add("<|im_start|>", text::TokenType::kControl);
    add("<|im_end|>", text::TokenType::kControl);
    constexpr char kHex[] = "0123456789ABCDEF";
    for (unsigned byte = 0; byte < 256; ++byte) {
      add(std::string("<0x") + kHex[byte >> 4] + kHex[byte & 15] + ">", text::TokenType::kByte);
    }
    add("\u2581", text::TokenType::kNormal);  // A space.
    spec.unk = 0;
    spec.eos = spec.eot = 2;
    spec.add_bos = false;
    spec.add_space_prefix = false;
    tokenizer_ = *text::Tokenizer::create(std::move(spec));
    chat_template_ = text::ChatTemplate::chatml();
    if (has_unsure_token) unsure_token_ = 0;
    relays_advice_ = relays;
    weight_bytes_ = 1000;
  }
};

// What one job does, step by step, on a thread of its own.
class FakeJob {
 public:
  FakeJob(engine::JobId id, const engine::GenerateRequest& its_request, engine::GenerateSink& sink,
          const std::atomic<bool>& is_cancelled)
      : request(its_request), id_(id), sink_(sink), is_cancelled_(is_cancelled) {}

  // A token of the given certainty; false once cancelled.
  bool say(std::string text, float logprob = -0.01F, float unsure = 0) {
    if (is_cancelled_) return false;
    engine::TokenEvent event;
    event.text = std::move(text);
    event.token.logprob = logprob;
    event.entropy = -logprob;
    event.unsure_probability = unsure;
    sink_.on_token(id_, event);
    ++n_tokens_;
    return true;
  }
  void end(engine::FinishEvent event = {}) {
    if (is_cancelled_) event.reason = engine::FinishReason::kCancelled;
    event.prompt_tokens = static_cast<std::uint32_t>(request.prompt.size());
    event.completion_tokens = n_tokens_;
    event.decode_ms = 1;
    sink_.on_finish(id_, event);
  }
  bool is_cancelled() const { return is_cancelled_; }
  void wait_for_cancel() const {
    while (!is_cancelled_) std::this_thread::sleep_for(milliseconds(1));
  }
  std::string prompt_text() const {
    return request.model->tokenizer().decode(request.prompt, true);
  }

  const engine::GenerateRequest& request;

 private:
  engine::JobId id_;
  engine::GenerateSink& sink_;
  const std::atomic<bool>& is_cancelled_;
  std::uint32_t n_tokens_ = 0;
};

class FakeEngine final : public engine::Engine {
 public:
  using Script = std::function<void(FakeJob&)>;

  explicit FakeEngine(Script script) : script_(std::move(script)) {}
  ~FakeEngine() override {
    for (const auto& [id, job] : jobs_) job->is_cancelled = true;
    for (const auto& [id, job] : jobs_) job->thread.join();
  }

  Result<engine::JobId> submit(engine::GenerateRequest request,
                               std::shared_ptr<engine::GenerateSink> sink) override {
    const std::lock_guard lock(mutex_);
    if (refuse_from && n_submitted >= *refuse_from) {
      return fail(Code::kInvalidArgument, "the prompt does not fit");
    }
    ++n_submitted;
    const engine::JobId id{++last_id_};
    seeds.push_back(request.sampling.seed);
    auto job = std::make_unique<Job>();
    Job* const raw = job.get();
    jobs_.emplace(id, std::move(job));
    raw->thread =
        std::thread([this, id, raw, request = std::move(request), sink = std::move(sink)] {
          FakeJob run(id, request, *sink, raw->is_cancelled);
          script_(run);
        });
    return id;
  }
  void cancel(engine::JobId id) override {
    const std::lock_guard lock(mutex_);
    if (const auto job = jobs_.find(id); job != jobs_.end()) job->second->is_cancelled = true;
  }
  std::uint32_t context_tokens(const model::Model&) const override { return 4096; }
  engine::EngineStats stats() const override { return stats_now; }

  std::optional<std::size_t> refuse_from;  // Submissions from this one on are refused.
  std::size_t n_submitted = 0;
  std::vector<std::uint64_t> seeds;
  engine::EngineStats stats_now;

 private:
  struct Job {
    std::atomic<bool> is_cancelled = false;
    std::thread thread;
  };
  Script script_;
  std::mutex mutex_;
  std::uint64_t last_id_ = 0;
  std::map<engine::JobId, std::unique_ptr<Job>> jobs_;
};

// Answers each question with `answer`, or, if that is unset, only once it is cancelled.
class FakeAdviser final : public advisor::Adviser {
 public:
  const advisor::AdviserOptions& options() const override { return options_; }
  advisor::AdviceId ask(advisor::AdviceRequest request,
                        std::shared_ptr<advisor::AdviceSink> sink) override {
    std::unique_lock lock(mutex_);
    asked.push_back(std::move(request));
    const advisor::AdviceId id{asked.size()};
    if (answer) {
      lock.unlock();
      sink->on_advice(*answer);
    } else {
      waiting_[id] = std::move(sink);
    }
    return id;
  }
  void cancel(advisor::AdviceId id) override {
    std::shared_ptr<advisor::AdviceSink> sink;
    {
      const std::lock_guard lock(mutex_);
      sink = std::exchange(waiting_[id], nullptr);
    }
    if (sink != nullptr) {
      sink->on_advice({.status = advisor::AdviceStatus::kCancelled,
                       .detail = "cancelled",
                       .bytes_out = 77,
                       .cost_usd_micro = 5});
    }
  }
  // Answers all that wait.
  void give(const advisor::Advice& advice) {
    std::map<advisor::AdviceId, std::shared_ptr<advisor::AdviceSink>> waiting;
    {
      const std::lock_guard lock(mutex_);
      waiting.swap(waiting_);
    }
    for (const auto& [id, sink] : waiting) {
      if (sink != nullptr) sink->on_advice(advice);
    }
  }
  std::size_t n_asked() {
    const std::lock_guard lock(mutex_);
    return asked.size();
  }

  std::optional<advisor::Advice> answer;
  std::vector<advisor::AdviceRequest> asked;
  advisor::AdviserOptions options_{.provider = "acme", .model = "wise-1", .threshold = 0.5};

 private:
  std::mutex mutex_;
  std::map<advisor::AdviceId, std::shared_ptr<advisor::AdviceSink>> waiting_;
};

// Fits every FakeModel.
class FakeAdapter final : public model::Adapter {
 public:
  explicit FakeAdapter(const std::string& name) {
    name_ = name;
    identity_ = std::hash<std::string>()(name);
    bytes_ = 100;
    base_ = FakeModel().config();
  }
};

class FakeSource final : public ModelSource {
 public:
  std::vector<store::CatalogueEntry> scan() override { return entries; }
  Result<store::CatalogueEntry> find(std::string_view name) const override {
    auto entry = find_any(name);
    if (entry && !entry->problem.empty()) return fail(Code::kUnsupported, entry->problem);
    return entry;
  }
  Result<store::CatalogueEntry> find_any(std::string_view name) const override {
    for (const auto& entry : entries) {
      if (entry.name == name) return entry;
    }
    return fail(Code::kNotFound, "no model '" + std::string(name) + "'");
  }
  // A model that the engine can't run.
  void add_foreign(const std::string& name) {
    entries.push_back({.name = name,
                       .path = "/models/" + name,
                       .source = "config",
                       .bytes = 1000,
                       .problem = "its architecture is not supported",
                       .is_foreign = true});
  }
  Result<std::shared_ptr<const model::Model>> load(const store::CatalogueEntry& entry) override {
    ++n_loads;
    if (block_loading) {
      while (*block_loading) std::this_thread::sleep_for(milliseconds(1));
    }
    const auto found = models.find(entry.name);
    if (found == models.end()) return fail(Code::kCorrupt, "'" + entry.name + "' is broken");
    return found->second;
  }

  void add(const std::string& name, std::shared_ptr<const model::Model> model,
           const std::string& source = "config", std::uint64_t bytes = 1000) {
    entries.push_back({.name = name, .path = "/models/" + name, .source = source, .bytes = bytes});
    if (model != nullptr) models[name] = std::move(model);
  }

  std::vector<store::CatalogueEntry> adapters() const override { return adapter_entries; }
  Result<store::CatalogueEntry> find_adapter(std::string_view name) const override {
    return store::find_adapter(adapter_entries, name);
  }
  Result<std::shared_ptr<const model::Adapter>> load_adapter(const store::CatalogueEntry& entry,
                                                             const model::Model&) override {
    ++n_adapter_loads;
    return std::make_shared<FakeAdapter>(entry.name);
  }
  void add_adapter(const std::string& name) {
    adapter_entries.push_back({.name = name, .path = "/adapters/" + name, .bytes = 100});
  }

  std::vector<store::CatalogueEntry> adapter_entries;
  std::atomic<int> n_adapter_loads = 0;
  std::vector<store::CatalogueEntry> entries;
  std::map<std::string, std::shared_ptr<const model::Model>> models;
  std::atomic<int> n_loads = 0;
  std::atomic<bool>* block_loading = nullptr;
};

// Remembers all events of a request in order.
class CollectingSink final : public ChatSink {
 public:
  void on_text(std::uint32_t choice, const std::string& text, const engine::TokenEvent&) override {
    const std::lock_guard lock(mutex_);
    texts_[choice] += text;
    changed_.notify_all();
  }
  void on_reasoning(std::uint32_t choice, const std::string& text) override {
    const std::lock_guard lock(mutex_);
    reasonings_[choice] += text;
  }
  void on_tool_call(std::uint32_t choice, const ToolCallPiece& piece) override {
    const std::lock_guard lock(mutex_);
    auto& calls = calls_[choice];
    if (piece.index >= calls.size()) calls.resize(piece.index + 1);
    calls[piece.index].id += piece.id;
    calls[piece.index].name += piece.name;
    calls[piece.index].arguments += piece.arguments;
    changed_.notify_all();
  }
  void on_status(const std::string& text) override {
    const std::lock_guard lock(mutex_);
    status_ = text;
    changed_.notify_all();
  }
  void on_advice(const std::string& adviser, const std::string& text) override {
    const std::lock_guard lock(mutex_);
    advice_ = adviser + ": " + text;
  }
  void on_departure(const advisor::DeparturePtr& departure) override {
    const std::lock_guard lock(mutex_);
    departure_ = departure;
    changed_.notify_all();
  }
  void on_choice_end(std::uint32_t choice, const ChoiceEnd& end) override {
    const std::lock_guard lock(mutex_);
    ++n_choice_ends_[choice];
    reasons_[choice] = end.reason;
    stop_strings_[choice] = end.stop_string;
  }
  void on_finish(const Usage&, const Receipt& receipt) override {
    const std::lock_guard lock(mutex_);
    ++n_last_calls_;
    receipt_ = receipt;
    changed_.notify_all();
  }
  void on_error(const Error& error) override {
    const std::lock_guard lock(mutex_);
    ++n_last_calls_;
    error_ = error;
    changed_.notify_all();
  }

  // Waits for the last call; false if it does not come.
  bool wait() {
    return wait_until([this] { return n_last_calls_ > 0; });
  }
  bool wait_for_text(const std::string& text) {
    return wait_until([&] { return texts_[0].find(text) != std::string::npos; });
  }
  bool wait_for_status() {
    return wait_until([this] { return !status_.empty(); });
  }

  // Null if none comes.
  advisor::DeparturePtr wait_for_departure() {
    wait_until([this] { return departure_ != nullptr; });
    const std::lock_guard lock(mutex_);
    return departure_;
  }

  std::string text(std::uint32_t choice = 0) {
    const std::lock_guard lock(mutex_);
    return texts_[choice];
  }
  std::string reasoning(std::uint32_t choice = 0) {
    const std::lock_guard lock(mutex_);
    return reasonings_[choice];
  }
  std::vector<ToolCall> calls(std::uint32_t choice = 0) {
    const std::lock_guard lock(mutex_);
    return calls_[choice];
  }
  std::string status() {
    const std::lock_guard lock(mutex_);
    return status_;
  }
  std::optional<Receipt> receipt() {
    const std::lock_guard lock(mutex_);
    return receipt_;
  }
  std::optional<Error> error() {
    const std::lock_guard lock(mutex_);
    return error_;
  }
  int n_last_calls() {
    const std::lock_guard lock(mutex_);
    return n_last_calls_;
  }
  int n_choice_ends(std::uint32_t choice = 0) {
    const std::lock_guard lock(mutex_);
    return n_choice_ends_[choice];
  }
  engine::FinishReason reason(std::uint32_t choice = 0) {
    const std::lock_guard lock(mutex_);
    return reasons_[choice];
  }
  std::string advice() {
    const std::lock_guard lock(mutex_);
    return advice_;
  }
  std::string stop_string(std::uint32_t choice = 0) {
    const std::lock_guard lock(mutex_);
    return stop_strings_[choice];
  }

 private:
  template <class Condition>
  bool wait_until(Condition condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(120), condition);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::uint32_t, std::string> texts_;
  std::map<std::uint32_t, std::string> reasonings_;
  std::map<std::uint32_t, std::vector<ToolCall>> calls_;
  std::map<std::uint32_t, int> n_choice_ends_;
  std::map<std::uint32_t, engine::FinishReason> reasons_;
  std::map<std::uint32_t, std::string> stop_strings_;
  std::string advice_;  // "ADVISER: WORDS".
  std::string status_;
  advisor::DeparturePtr departure_;
  std::optional<Receipt> receipt_;
  std::optional<Error> error_;
  int n_last_calls_ = 0;
};

}  // namespace hearth::hub
