#include "server/pull_answer.h"

#include <mutex>
#include <string>
#include <utility>

#include "api/ollama/chat_writer.h"
#include "api/ollama/pull.h"
#include "server/chat_answer.h"

namespace hearth::server {
namespace {

namespace ollama = api::ollama;

bool is_last(const hub::PullState& state) {
  return state.step == hub::PullStep::kDone || state.step == hub::PullStep::kFailed;
}

void refuse(const PullCall& call, const api::ApiError& error) {
  call.metrics->count_response(error.status);
  call.exchange->respond(error_response(error, call.headers, ollama::render_error));
}

// Threading: states come one at a time, heartbeats from the I/O thread; a mutex orders them.
class PullStream {
 public:
  explicit PullStream(const PullCall& call) : call_(call) {}

  void add(const hub::PullState& state) {
    const std::lock_guard lock(mutex_);
    start();
    line_ = ollama::render_pull(state) + "\n";
    call_.exchange->write(line_);
    if (!is_last(state)) return;
    if (state.error) ++call_.metrics->streams_failed;
    call_.exchange->end_stream();
    line_.clear();
  }

  void repeat() {
    const std::lock_guard lock(mutex_);
    if (!line_.empty()) call_.exchange->write(line_);
  }

 private:
  void start() {
    if (std::exchange(started_, true)) return;
    call_.metrics->count_response(200);
    net::HeaderList headers = call_.headers;
    headers.emplace_back("Cache-Control", "no-cache");
    call_.exchange->start_stream({.content_type = "application/x-ndjson", .headers = std::move(headers)});
  }

  const PullCall call_;
  std::mutex mutex_;  // Guards what follows.
  std::string line_;  // The last one; empty before the first and after the end.
  bool started_ = false;
};

hub::Pulls::Watcher whole_answer(const PullCall& call) {
  return [call](const hub::PullState& state) {
    if (!is_last(state)) return;
    if (state.error) return refuse(call, api::api_error(*state.error));
    call.metrics->count_response(200);
    call.exchange->respond({.body = ollama::render_pull(state), .headers = call.headers});
  };
}

hub::Pulls::Watcher streamed_answer(const PullCall& call) {
  const auto stream = std::make_shared<PullStream>(call);
  call.exchange->on_idle(call.heartbeat_every, [weak = std::weak_ptr(stream)] {
    if (const auto alive = weak.lock()) alive->repeat();
  });
  return [stream](const hub::PullState& state) { stream->add(state); };
}

}  // namespace

void answer_pull(hub::Pulls& pulls, const PullCall& call) {
  const auto request = ollama::parse_pull(call.exchange->request().body);
  if (!request) return refuse(call, request.error());
  if (call.exchange->cancelled()) return;  // Left while it waited for a thread.
  const auto watch = pulls.join(request->model, request->stream ? streamed_answer(call) : whole_answer(call));
  if (!watch) return refuse(call, api::api_error(watch.error()));
  call.exchange->on_cancel([&pulls, id = *watch] { pulls.leave(id); });
  if (call.exchange->cancelled()) pulls.leave(*watch);  // Left before it could be told.
}

}  // namespace hearth::server
