// One call of a tool, from its request to its answer: progress goes out, a wish to cancel comes in.
//
// A tool ends by succeed() or fail(), once; until then it may tell how it goes.  Progress is sent only where the
// client asked for it, and pieces of text are gathered so that there are at most ten notifications a second.  A
// call that was cancelled still ends, but nothing more is said of it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/mcp/revision.h"
#include "hub/hub.h"

namespace hearth::api::mcp {

inline constexpr std::int64_t kProgressEveryNs = 100'000'000;
inline constexpr std::size_t kCallsPerPeerMax = 64;

// Where the answer to one message goes.
//
// Threading: any thread; the calls for one message come one after the other.
class Outlet {
 public:
  virtual ~Outlet() = default;
  virtual void notify(const std::string& message) = 0;  // Before the answer.
  // The last: the answer (empty for a message that gets none), and HTTP's status for it.
  virtual void finish(const std::string& answer, unsigned status) = 0;
  virtual void abandon() = 0;  // The last: nobody waits for an answer any more.
  virtual void name_session(const std::string& id) { (void)id; }  // Before finish().
};

// Who sends a message.
struct Caller {
  std::string client;                // A key's name or an address: whom fairness counts for, and who may agree.
  std::optional<std::string> sees_only = {};  // Whose receipts may be found; unset: everybody's.
  std::vector<std::string> headers;  // For the privacy policy, as in hub::ChatRequest.
};

class ToolRun;

// The calls of one peer that have not ended, by their requests' ids.
//
// Threading: any thread.
class RunningCalls {
 public:
  // kInvalidRequest: that id is in use, or too many calls run.
  RpcResult<> add(const std::string& id, const std::shared_ptr<ToolRun>& run);
  void remove(const std::string& id);
  void cancel(const std::string& id);  // No effect on one that has ended.
  void cancel_all();
  bool is_empty() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::weak_ptr<ToolRun>> runs_;
};

// What sets an answer apart from others.
struct ToolRunOptions {
  std::string id;              // The request's, as JSON text.
  std::string progress_token;  // As JSON text; empty: none.
  std::string result_meta;     // JSON members of results in this revision, "" or `"resultType":...,`.
  Caller caller;
  std::shared_ptr<Outlet> outlet;
  std::shared_ptr<RunningCalls> peers;  // Null: it is cancelled by its outlet alone.
};

// Threading: any thread.
class ToolRun {
 public:
  explicit ToolRun(ToolRunOptions options) : options_(std::move(options)) {}

  const Caller& caller() const { return options_.caller; }

  void add_text(std::string_view text);      // A piece of an answer.
  void say(std::string_view sentence);       // What is being done.
  void succeed(const std::string& structured_json);
  void fail(std::string_view sentence);

  // What cancelling does from now on; at once if it was cancelled already.
  void on_cancel(std::function<void()> stop);
  void cancel();
  bool is_cancelled() const;

 private:
  void send_progress();  // Under the mutex.
  void end(const std::string& structured_json, std::string_view text, bool is_error);

  const ToolRunOptions options_;
  mutable std::mutex mutex_;
  std::function<void()> stop_;
  std::string unsent_;               // Text since the last notification.
  std::uint64_t n_pieces_ = 0;       // The progress.
  std::int64_t last_sent_ns_ = 0;    // 0: nothing was sent yet.
  bool is_cancelled_ = false, is_over_ = false;
};

}  // namespace hearth::api::mcp
