#include "api/mcp/tool_run.h"

#include <fmt/format.h>

#include <utility>

#include "api/json_writer.h"
#include "base/clock.h"

namespace hearth::api::mcp {

// ---- The calls of a peer ----

RpcResult<> RunningCalls::add(const std::string& id, const std::shared_ptr<ToolRun>& run) {
  const std::lock_guard lock(mutex_);
  const auto refuse = [&](std::string message) {
    return std::unexpected(RpcError{.code = RpcCode::kInvalidRequest, .message = std::move(message), .id = id});
  };
  if (runs_.size() >= kCallsPerPeerMax) {
    return refuse(fmt::format("{} calls are running, which is the limit for one client: wait for one to end.", kCallsPerPeerMax));
  }
  if (!runs_.emplace(id, run).second) return refuse("A request of this id is still being answered.");
  return {};
}

void RunningCalls::remove(const std::string& id) {
  const std::lock_guard lock(mutex_);
  runs_.erase(id);
}

void RunningCalls::cancel(const std::string& id) {
  std::shared_ptr<ToolRun> run;
  {
    const std::lock_guard lock(mutex_);
    const auto found = runs_.find(id);
    if (found != runs_.end()) run = found->second.lock();
  }
  if (run) run->cancel();
}

void RunningCalls::cancel_all() {
  std::vector<std::shared_ptr<ToolRun>> runs;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, run] : runs_) runs.push_back(run.lock());
  }
  for (const auto& run : runs) {
    if (run) run->cancel();
  }
}

bool RunningCalls::is_empty() const {
  const std::lock_guard lock(mutex_);
  return runs_.empty();
}

// ---- One call ----

void ToolRun::add_text(std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (options_.progress_token.empty() || text.empty()) return;
  unsent_ += text;
  ++n_pieces_;
  if (last_sent_ns_ != 0 && Clock::system().now_monotonic_ns() - last_sent_ns_ < kProgressEveryNs) return;
  send_progress();
}

void ToolRun::say(std::string_view sentence) {
  const std::lock_guard lock(mutex_);
  if (options_.progress_token.empty()) return;
  if (!unsent_.empty()) send_progress();
  unsent_ = sentence;
  ++n_pieces_;
  send_progress();
}

void ToolRun::send_progress() {
  std::string params;
  JsonWriter json(params);
  json.begin_object().key("progressToken").raw(options_.progress_token).key("progress").value(n_pieces_);
  json.key("message").value(unsent_).end_object();
  unsent_.clear();
  last_sent_ns_ = Clock::system().now_monotonic_ns();
  if (!is_cancelled_ && !is_over_) options_.outlet->notify(render_notification("notifications/progress", params));
}

void ToolRun::succeed(const std::string& structured_json) { end(structured_json, structured_json, false); }

void ToolRun::fail(std::string_view sentence) { end("", sentence, true); }

void ToolRun::end(const std::string& structured_json, std::string_view text, bool is_error) {
  std::string result = "{" + options_.result_meta;
  JsonWriter json(result);
  json.key("content").begin_array().begin_object().key("type").value("text").key("text").value(text).end_object().end_array();
  if (!structured_json.empty()) json.key("structuredContent").raw(structured_json);
  json.key("isError").value(is_error);
  result += '}';

  bool says_so = false;
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(is_over_, true)) return;
    says_so = !is_cancelled_;
    stop_ = nullptr;
  }
  if (options_.peers) options_.peers->remove(options_.id);
  if (!says_so) return options_.outlet->abandon();
  options_.outlet->finish(render_result(options_.id, result), 200);
}

void ToolRun::on_cancel(std::function<void()> stop) {
  {
    const std::lock_guard lock(mutex_);
    if (is_over_) return;
    if (!is_cancelled_) {
      stop_ = std::move(stop);
      return;
    }
  }
  stop();
}

void ToolRun::cancel() {
  std::function<void()> stop;
  {
    const std::lock_guard lock(mutex_);
    if (is_over_ || std::exchange(is_cancelled_, true)) return;
    stop = std::move(stop_);
  }
  if (stop) stop();
}

bool ToolRun::is_cancelled() const {
  const std::lock_guard lock(mutex_);
  return is_cancelled_;
}

}  // namespace hearth::api::mcp
