// A hub without a model, for tests of what stands in front of it: it streams scripted
// tokens to all its requests in turn, from one thread, as an engine would.
//
// The last message's (or the prompt's) first word picks the script:
//   count N   "1 ", "2 ", ... N tokens        hold      one token, then nothing until cancelled
//   silent    nothing until cancelled          fail      on_error before any token
//   break     two tokens, then on_error        euro      "€" in two tokens, then "uro"
//   status    a status, then one token         refuse    chat() itself says kUnavailable
//   overflow  chat() says the prompt is too long
//   consent   says that a call waits for consent, then one token
//   advise    says that advice came, then one token
//   call      thinks, says a word, then calls every tool of the request with {"of": "..."}
// and anything else is repeated word by word.  Where tokens are only counted, a message is one.
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "hub/hub.h"

namespace hearth::server {

class FakeHub final : public hub::Hub {
 public:
  explicit FakeHub(std::chrono::microseconds step = std::chrono::microseconds{0})
      : step_(step), thread_([this] { loop(); }) {}
  ~FakeHub() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
  }

  Result<hub::RequestId> chat(hub::ChatRequest request, std::shared_ptr<hub::ChatSink> sink) override {
    const std::lock_guard lock(mutex_);
    ++stats_.requests;
    last_request_ = request;
    if (request.model != "auto" && request.model != "local" && request.model != "fake" &&
        request.model != "org/fake-2") {
      return fail(Code::kNotFound, fmt::format("no model named '{}'; there are: fake, org/fake-2",
                                               request.model));
    }
    if (request.counts_only) {
      const std::size_t n = request.messages.size();
      sink->on_finish({.prompt_tokens = static_cast<std::uint32_t>(n)}, {});
      return hub::RequestId{next_id_++};
    }
    const std::string text = request.messages.empty() ? request.prompt : request.messages.back().content;
    if (text.starts_with("refuse")) return fail(Code::kUnavailable, "the queue is full");
    if (text.starts_with("overflow")) {
      return fail(Code::kInvalidArgument,
                  "the prompt has 9000 tokens, which exceeds the available context size of 8192 tokens");
    }
    const hub::RequestId id{next_id_++};
    running_.emplace(id, Job{make_script(text), std::move(request), std::move(sink)});
    changed_.notify_all();
    return id;
  }

  // A vector of each text's length and one; "refuse" and "fail" fail before and after admission.
  Result<> embed(hub::EmbeddingRequest request, hub::EmbeddingDone done) override {
    if (request.model != "fake-encoder") {
      return fail(Code::kInvalidArgument, "the model 'fake' chats and makes no embeddings");
    }
    hub::Embeddings made;
    for (const hub::EmbeddingInput& input : request.inputs) {
      const auto* const text = std::get_if<std::string>(&input);
      if (text != nullptr && *text == "refuse") return fail(Code::kUnavailable, "the queue is full");
      if (text != nullptr && *text == "fail") {
        done(fail(Code::kInvalidArgument, "input 0: the input has 600 tokens, which exceeds the available context size of 512"));
        return {};
      }
      const std::size_t n = std::visit([](const auto& content) { return content.size(); }, input);
      made.vectors.push_back({static_cast<float>(n), 1.0F});
      made.prompt_tokens += static_cast<std::uint32_t>(n);
    }
    done(std::move(made));
    return {};
  }

  // A document's score is its length; "fail" fails after admission.
  Result<> rerank(hub::RerankRequest request, hub::RerankDone done) override {
    if (request.model != "fake-ranker") {
      return fail(Code::kInvalidArgument, "the model 'fake' chats and ranks no documents");
    }
    hub::Ranking made;
    for (const std::string& document : request.documents) {
      if (document == "fail") {
        done(fail(Code::kInvalidArgument, "document 0 with the query: the input is too long"));
        return {};
      }
      made.scores.push_back(static_cast<float>(document.size()));
      made.prompt_tokens += static_cast<std::uint32_t>(document.size());
    }
    done(std::move(made));
    return {};
  }

  void cancel(hub::RequestId id) override {
    const std::lock_guard lock(mutex_);
    if (const auto job = running_.find(id); job != running_.end()) job->second.cancelled = true;
    changed_.notify_all();
  }

  // A consent of the last request's client, called "c-1".
  std::vector<advisor::DeparturePtr> consents(std::string_view client) const override {
    if (client != last_request().client) return {};
    return {std::make_shared<const advisor::Departure>(
        advisor::Departure{.consent = "c-1", .request_id = "r-1", .provider = "acme", .model = "wise", .url = "https://x",
                           .headers = {}, .body = "{\"a\": 1}", .label = "class private by rule 'default'"})};
  }
  Result<> answer_consent(std::string_view id, std::string_view client, bool is_allowed, bool is_remembered) override {
    if (id != "c-1" || client != last_request().client) return fail(Code::kNotFound, "nothing of yours waits");
    consented = is_allowed ? (is_remembered ? "always" : "yes") : "no";
    return {};
  }

  Result<> set_pinned(const std::string& model, bool is_pinned) override {
    if (model != "fake") return fail(Code::kUnavailable, "'" + model + "' is not loaded");
    pinned = is_pinned;
    return {};
  }

  std::vector<hub::ModelEntry> models() const override {
    return {{.name = "fake", .source = "embedded", .bytes = 1, .architecture = "llama", .n_context = 8192},
            {.name = "org/fake-2", .source = "config", .bytes = 2},
            {.name = "broken", .source = "config", .problem = "its file is cut short"}};
  }
  hub::HubStats stats() const override {
    const std::lock_guard lock(mutex_);
    hub::HubStats s = stats_;
    s.engine.jobs_running = static_cast<std::uint32_t>(running_.size());
    return s;
  }
  Result<> health() override {
    if (healthy) return {};
    return fail(Code::kUnavailable, "the engine does not answer");
  }
  void shutdown(std::chrono::milliseconds) override {}

  std::size_t n_running() const {
    const std::lock_guard lock(mutex_);
    return running_.size();
  }
  hub::ChatRequest last_request() const {
    const std::lock_guard lock(mutex_);
    return last_request_;
  }

  std::atomic<bool> healthy{true};
  std::string consented;  // What was answered last.
  std::atomic<bool> pinned{false};  // The model "fake".

 private:
  enum class End { kFinish, kWait, kFail };
  struct Script {
    std::vector<std::string> tokens;  // Bytes; may cut a code point.
    End end = End::kFinish;
    bool status = false;
    bool calls = false;  // The request's tools, in pieces.
    bool consent = false;
    std::string advice;  // That comes before the tokens.
  };
  struct Job {
    Script script;
    hub::ChatRequest request;
    std::shared_ptr<hub::ChatSink> sink;
    std::size_t n_sent = 0;
    bool cancelled = false;
    std::size_t n_pieces_sent = 0;  // Of tool calls.
  };

  static Script make_script(const std::string& text) {
    std::istringstream words(text);
    std::string word;
    words >> word;
    Script s;
    if (word == "count") {
      int n = 0;
      words >> n;
      for (int i = 1; i <= n; ++i) s.tokens.push_back(fmt::format("{} ", i));
    } else if (word == "hold") {
      s = {{"held"}, End::kWait};
    } else if (word == "silent") {
      s.end = End::kWait;
    } else if (word == "fail") {
      s.end = End::kFail;
    } else if (word == "break") {
      s = {{"a", "b"}, End::kFail};
    } else if (word == "euro") {
      s.tokens = {"\xE2\x82", "\xAC", "uro"};
    } else if (word == "call") {
      s = {.tokens = {"Wait. "}, .calls = true};
    } else if (word == "advise") {
      s = {.tokens = {"With advice. "}, .advice = "Mind the \u20ac."};
    } else if (word == "consent") {
      s = {.tokens = {"Sent. "}, .consent = true};
    } else if (word == "status") {
      s = {{"done"}, End::kFinish, true};
    } else {
      s.tokens = {"You said: "};
      for (bool more = !word.empty(); more; more = static_cast<bool>(words >> word)) {
        s.tokens.push_back(word + " ");
      }
    }
    return s;
  }

  static engine::TokenEvent event_of(const Job& job) {
    const std::string& bytes = job.script.tokens[job.n_sent];
    engine::TokenEvent e;
    e.token = {.id = 7, .bytes = bytes, .logprob = -0.25F};
    for (std::uint32_t i = 0; i < job.request.n_top_logprobs; ++i) {
      e.top.push_back({.id = static_cast<text::TokenId>(i), .bytes = fmt::format("t{}", i),
                       .logprob = -1.0F - static_cast<float>(i)});
    }
    if (bytes == "\xE2\x82") return e;  // Half a code point: nothing to show yet.
    e.text = bytes == "\xAC" ? "\xE2\x82\xAC" : bytes;
    return e;
  }

  static hub::ToolCallPiece piece_of(const Job& job) {
    const auto index = static_cast<std::uint32_t>(job.n_pieces_sent / 3);
    const std::string& name = job.request.tools[index].name;
    switch (job.n_pieces_sent % 3) {
      case 0: return {.index = index, .id = fmt::format("call_{}", index), .name = name};
      case 1: return {.index = index, .arguments = "{\"of\": "};
      default: return {.index = index, .arguments = fmt::format("\"{} \u20ac\"}}", name)};
    }
  }

  // One token, or the end.  True when the job is over; `mutex_` is not held, and all of the job but
  // `cancelled` belongs to this thread.
  bool step(Job& job, bool cancelled) {
    const std::uint32_t n = job.request.n;
    if (cancelled) {
      job.sink->on_error({Code::kCancelled, "the request was cancelled"});
      return true;
    }
    if (job.n_sent == 0 && job.script.status) job.sink->on_status("asking the adviser");
    if (job.n_sent == 0 && job.script.consent) job.sink->on_departure(consents(job.request.client).at(0));
    if (job.n_sent == 0 && !job.script.advice.empty()) job.sink->on_advice("fake/adviser", job.script.advice);
    if (job.n_sent == 0 && job.script.calls) {
      for (std::uint32_t i = 0; i < n; ++i) job.sink->on_reasoning(i, "Hm.");
    }
    const bool at_limit = job.request.max_tokens > 0 && job.n_sent >= job.request.max_tokens;
    if (job.n_sent < job.script.tokens.size() && !at_limit) {
      const engine::TokenEvent e = event_of(job);
      for (std::uint32_t i = 0; i < n; ++i) job.sink->on_text(i, e.text, e);
      ++job.n_sent;
      return false;
    }
    if (job.script.calls && job.n_pieces_sent < 3 * job.request.tools.size()) {
      const hub::ToolCallPiece piece = piece_of(job);
      for (std::uint32_t i = 0; i < n; ++i) job.sink->on_tool_call(i, piece);
      ++job.n_pieces_sent;
      return false;
    }
    if (job.script.end == End::kWait) return false;
    if (job.script.end == End::kFail) {
      job.sink->on_error({Code::kInternal, "the script says fail"});
      return true;
    }
    for (std::uint32_t i = 0; i < n; ++i) {
      job.sink->on_choice_end(i, {at_limit ? engine::FinishReason::kLength : engine::FinishReason::kStop, ""});
    }
    hub::Receipt receipt;
    receipt.id = "r-0123456789abcdefghijklmnop";
    receipt.model = "fake";
    receipt.usage = {.prompt_tokens = 3, .cached_tokens = 1,
                     .completion_tokens = static_cast<std::uint32_t>(job.n_sent)};
    receipt.first_token_ms = 1.5;
    receipt.total_ms = 20;
    receipt.confidence = 0.9F;
    job.sink->on_finish(receipt.usage, receipt);
    return true;
  }

  void loop() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      if (running_.empty()) {
        changed_.wait(lock);
        continue;
      }
      std::vector<std::pair<hub::RequestId, Job*>> batch;  // Nobody else erases: the pointers hold.
      for (auto& [id, job] : running_) batch.emplace_back(id, &job);
      bool moved = false;
      for (auto& [id, job] : batch) {
        const bool cancelled = job->cancelled;
        const std::size_t n_before = job->n_sent + job->n_pieces_sent;
        lock.unlock();
        const bool over = step(*job, cancelled);
        lock.lock();
        moved = moved || over || job->n_sent + job->n_pieces_sent != n_before;
        if (!over) continue;
        ++(cancelled ? stats_.cancelled : stats_.answered);
        running_.erase(id);
      }
      if (!moved || step_.count() > 0) {
        changed_.wait_for(lock, std::max(step_, std::chrono::microseconds{500}));
      }
    }
    for (auto& [id, job] : running_) job.sink->on_error({Code::kCancelled, "the hub is stopping"});
    running_.clear();
  }

  const std::chrono::microseconds step_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<hub::RequestId, Job> running_;
  hub::ChatRequest last_request_;
  hub::HubStats stats_;
  std::uint64_t next_id_ = 1;
  bool stopping_ = false;
  std::jthread thread_;
};

}  // namespace hearth::server
