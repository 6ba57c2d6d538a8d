// The MCP server without its transports: messages in, answers out.
//
// Two eras share it (revision.h).  A message of a revision without sessions says everything by itself.  One of an
// older revision belongs to a session: over HTTP one that `initialize` opened and that the header Mcp-Session-Id
// names, on standard input the process.
//
// What is offered is tools, and nothing else: no prompts, resources, completions, tasks or subscriptions, and
// nothing is asked of the client.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "api/mcp/message.h"
#include "api/mcp/revision.h"
#include "api/mcp/tool_run.h"
#include "api/mcp/tools.h"

namespace hearth::api::mcp {

inline constexpr std::size_t kSessionsMax = 1024;  // The one that was used longest ago makes room.
inline constexpr std::int64_t kListTtlMs = 3'600'000;  // The tools change with the program alone.

// What was agreed with one client.
struct Session {
  std::string id, client;
  std::optional<Revision> revision;  // Unset: not agreed yet, or nothing to agree.
  std::shared_ptr<RunningCalls> calls = std::make_shared<RunningCalls>();
};

// Sessions over HTTP, by their ids.
//
// Threading: any thread.
class Sessions {
 public:
  std::shared_ptr<Session> open(std::string client, Revision revision);
  std::shared_ptr<Session> find(std::string_view id, std::string_view client);  // Null: none of this client's.
  bool close(std::string_view id, std::string_view client);                     // Cancels what runs in it.
  std::size_t size() const;

 private:
  using Order = std::list<std::shared_ptr<Session>>;  // What was used last stands first.
  mutable std::mutex mutex_;
  Order order_;
  std::map<std::string, Order::iterator, std::less<>> by_id_;
};

// Threading: any thread.
class Desk {
 public:
  // What `host` has outlives the desk and every call.
  Desk(ToolHost host, std::string version);

  // Answers one message that came by HTTP.  May wait: a model may have to be loaded.  What runs is given to
  // `on_run`, so that a client that leaves can cancel it.
  using OnRun = std::function<void(const std::shared_ptr<ToolRun>&)>;
  void take(std::string_view text, const Headers& headers, Caller caller, std::shared_ptr<Outlet> outlet, const OnRun& on_run);

  // Answers one message of `line`, the session of a stream of lines.  Never waits: what may goes to the host's
  // threads, so that a wish to cancel is heard.
  void take_line(std::string_view text, Session& line, Caller caller, std::shared_ptr<Outlet> outlet);

  bool close_session(std::string_view id, std::string_view client) { return sessions_.close(id, client); }

 private:
  struct Incoming;
  void answer(Incoming& in);
  RpcResult<> dispatch(Incoming& in);
  RpcResult<> dispatch_sessionless(Incoming& in);
  RpcResult<> dispatch_in_session(Incoming& in);
  RpcResult<std::shared_ptr<Session>> session_of(const Incoming& in);
  void take_notification(const Incoming& in);
  RpcResult<> initialize(Incoming& in);
  RpcResult<> list_tools(const Incoming& in);
  RpcResult<> call_tool(const Incoming& in);
  std::string result_meta(bool is_sessionless) const;
  std::string server_info() const;

  const ToolHost host_;
  const std::string version_;
  Sessions sessions_;
};

}  // namespace hearth::api::mcp
