#include "api/mcp/desk.h"

#include <fmt/format.h>

#include <utility>

#include "api/chat_fields.h"
#include "api/json_writer.h"

namespace hearth::api::mcp {
namespace {

constexpr std::string_view kInstructions =
    "A Hearth hub: models and verified numerical kernels on the user's own machine. Use 'ask' for answers that should not "
    "leave this machine, 'compare' to weigh models against each other, 'list_kernels' and 'run_kernel' for numerical work, "
    "and 'search_ledger' for what was answered, what left this machine, and what it cost.";
constexpr std::string_view kCapabilities = R"({"tools":{"listChanged":false}})";
constexpr unsigned kAccepted = 202;

RpcError refused(RpcCode code, std::string message, const std::string& id, unsigned status) {
  return {.code = code, .message = std::move(message), .id = id, .status = status};
}

std::string_view text_member(const Message& message, std::string_view name) {
  std::string_view text;
  if (!message.params || (*message.params)[name].get_string().get(text) != simdjson::SUCCESS) return {};
  return text;
}

}  // namespace

// One message and all that belongs to it, while it is being answered.
struct Desk::Incoming {
  Message message;
  Meta meta = {};
  bool is_sessionless = false;
  const Headers* headers = nullptr;  // Null: it came on a line.
  Session* line = nullptr;           // Of that line.
  Caller caller;
  std::shared_ptr<Outlet> outlet;
  const OnRun* on_run = nullptr;
  std::shared_ptr<RunningCalls> calls = nullptr;  // That a call joins; null: none.
};

Desk::Desk(ToolHost host, std::string version) : host_(std::move(host)), version_(std::move(version)) {}

void Desk::take(std::string_view text, const Headers& headers, Caller caller, std::shared_ptr<Outlet> outlet, const OnRun& on_run) {
  with_parser(text.size(), [&](dom::parser& parser) {
    auto message = read_message(parser, text);
    if (!message) return outlet->finish(render_error(message.error()), message.error().status);
    Incoming in{.message = *std::move(message), .headers = &headers, .caller = std::move(caller), .outlet = std::move(outlet), .on_run = &on_run};
    answer(in);
  });
}

void Desk::take_line(std::string_view text, Session& line, Caller caller, std::shared_ptr<Outlet> outlet) {
  with_parser(text.size(), [&](dom::parser& parser) {
    auto message = read_message(parser, text);
    if (!message) return outlet->finish(render_error(message.error()), message.error().status);
    Incoming in{.message = *std::move(message), .line = &line, .caller = std::move(caller), .outlet = std::move(outlet), .calls = line.calls};
    answer(in);
  });
}

void Desk::answer(Incoming& in) {
  const auto done = dispatch(in);
  if (done) return;
  // Nothing is said to a notification or an answer but, over HTTP, that it was wrong.
  const bool is_asked = in.message.kind == MessageKind::kRequest || in.headers != nullptr;
  in.outlet->finish(is_asked ? render_error(done.error()) : "", done.error().status);
}

RpcResult<> Desk::dispatch(Incoming& in) {
  auto meta = read_meta(in.message);
  if (!meta) return std::unexpected(meta.error());
  in.meta = *std::move(meta);
  in.is_sessionless = is_sessionless(in.meta, in.headers);
  if (in.message.kind == MessageKind::kRequest) return in.is_sessionless ? dispatch_sessionless(in) : dispatch_in_session(in);
  if (!in.is_sessionless && in.headers != nullptr) {
    const auto session = session_of(in);
    if (!session) return std::unexpected(session.error());
    in.calls = (*session)->calls;
  }
  take_notification(in);
  in.outlet->finish("", kAccepted);
  return {};
}

// ---- Requests ----

RpcResult<> Desk::dispatch_sessionless(Incoming& in) {
  if (auto checked = check_sessionless(in.message, in.meta, in.headers); !checked) return checked;
  const std::string& method = in.message.method;
  if (method == "tools/call") return call_tool(in);
  if (method == "tools/list") return list_tools(in);
  if (method != "server/discover") {
    return std::unexpected(refused(RpcCode::kMethodNotFound, fmt::format("There is no method '{}' here.", method), in.message.id, 404));
  }
  std::string result = "{" + result_meta(true);
  JsonWriter json(result);
  json.key("supportedVersions").raw(revisions_json()).key("capabilities").raw(kCapabilities);
  json.key("instructions").value(kInstructions).key("ttlMs").value(kListTtlMs).key("cacheScope").value("public");
  in.outlet->finish(render_result(in.message.id, result + "}"), 200);
  return {};
}

RpcResult<> Desk::dispatch_in_session(Incoming& in) {
  const std::string& method = in.message.method;
  if (method == "initialize") return initialize(in);
  if (in.headers != nullptr) {
    const auto session = session_of(in);
    if (!session) return std::unexpected(session.error());
    in.calls = (*session)->calls;
  } else if (!in.line->revision && method != "ping") {
    return std::unexpected(refused(RpcCode::kInvalidRequest, "Send 'initialize' first, or name a revision in '_meta', as from 2026-07-28 on.", in.message.id, 400));
  }
  if (method == "tools/call") return call_tool(in);
  if (method == "tools/list") return list_tools(in);
  if (method != "ping") return std::unexpected(refused(RpcCode::kMethodNotFound, fmt::format("There is no method '{}' here.", method), in.message.id, 200));
  in.outlet->finish(render_result(in.message.id, "{}"), 200);
  return {};
}

RpcResult<std::shared_ptr<Session>> Desk::session_of(const Incoming& in) {
  if (in.headers->session.empty()) {
    return std::unexpected(refused(RpcCode::kInvalidRequest,
                                   "The header Mcp-Session-Id is missing: send 'initialize' first, or name a revision in '_meta', as from 2026-07-28 on.",
                                   in.message.id, 400));
  }
  auto session = sessions_.find(in.headers->session, in.caller.client);
  if (session) return session;
  return std::unexpected(refused(RpcCode::kInvalidRequest, "There is no such session (any more): send 'initialize' again.", in.message.id, 404));
}

// A session of the revision that the client asks for, or of the newest that has sessions.
RpcResult<> Desk::initialize(Incoming& in) {
  const std::string_view asked = text_member(in.message, "protocolVersion");
  if (asked.empty()) return std::unexpected(refused(RpcCode::kInvalidParams, "Missing required member: 'params.protocolVersion'.", in.message.id, 400));
  const RevisionRow* const row = find_revision(asked);
  const Revision revision = row != nullptr && row->has_sessions ? row->revision : kNewestWithSessions;
  if (in.headers != nullptr) {
    in.outlet->name_session(sessions_.open(in.caller.client, revision)->id);
  } else {
    in.line->revision = revision;
  }
  std::string result;
  JsonWriter json(result);
  json.begin_object().key("protocolVersion").value(revision_row(revision).name).key("capabilities").raw(kCapabilities);
  json.key("serverInfo").raw(server_info()).key("instructions").value(kInstructions).end_object();
  in.outlet->finish(render_result(in.message.id, result), 200);
  return {};
}

RpcResult<> Desk::list_tools(const Incoming& in) {
  if (!text_member(in.message, "cursor").empty()) {
    return std::unexpected(refused(RpcCode::kInvalidParams, "Invalid 'cursor': all tools are on the first page.", in.message.id, 200));
  }
  static const std::string kTools = tools_json();
  std::string result = "{" + result_meta(in.is_sessionless);
  JsonWriter json(result);
  json.key("tools").raw(kTools);
  if (in.is_sessionless) json.key("ttlMs").value(kListTtlMs).key("cacheScope").value("public");
  in.outlet->finish(render_result(in.message.id, result + "}"), 200);
  return {};
}

RpcResult<> Desk::call_tool(const Incoming& in) {
  const std::string_view name = text_member(in.message, "name");
  const ToolRow* const tool = find_tool(name);
  if (tool == nullptr) {
    return std::unexpected(refused(RpcCode::kInvalidParams, fmt::format("Unknown tool: '{}'; 'tools/list' has those that there are.", name.substr(0, 128)), in.message.id, 200));
  }
  dom::parser empty;
  dom::element value = empty.parse("{}", 2).value_unsafe();
  if (const auto given = member(*in.message.params, "arguments")) value = *given;
  dom::object arguments;
  if (value.get_object().get(arguments) != simdjson::SUCCESS) {
    return std::unexpected(refused(RpcCode::kInvalidParams, "'params.arguments' must be an object.", in.message.id, 200));
  }
  auto run = std::make_shared<ToolRun>(ToolRunOptions{.id = in.message.id,
                                                      .progress_token = in.meta.progress_token,
                                                      .result_meta = result_meta(in.is_sessionless),
                                                      .caller = in.caller,
                                                      .outlet = in.outlet,
                                                      .peers = in.calls});
  if (in.calls) {
    if (auto added = in.calls->add(in.message.id, run); !added) return added;
  }
  if (in.on_run != nullptr) {
    (*in.on_run)(run);
    tool->start(host_, arguments, std::move(run));
    return {};
  }
  const bool is_taken = host_.submit([this, tool, run, text = std::string(simdjson::minify(arguments))] {
    dom::parser parser;
    dom::object again;
    if (parser.parse(text).get_object().get(again) != simdjson::SUCCESS) return run->fail("Out of memory for the arguments.");
    tool->start(host_, again, run);
  });
  if (!is_taken) run->fail("Too many calls wait: try again later.");
  return {};
}

// ---- Notifications ----

// The only one that means something here is a wish to cancel; unknown ones and unknown ids are passed over.
void Desk::take_notification(const Incoming& in) {
  dom::element id;
  if (in.message.method != "notifications/cancelled" || !in.calls || !in.message.params) return;
  if ((*in.message.params)["requestId"].get(id) != simdjson::SUCCESS) return;
  if (const auto text = token_text(id)) in.calls->cancel(*text);
}

// ---- Results ----

std::string Desk::server_info() const {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("name").value("hearth").key("title").value("Hearth").key("version").value(version_).end_object();
  return out;
}

std::string Desk::result_meta(bool is_sessionless) const {
  if (!is_sessionless) return "";
  return R"("resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":)" + server_info() + "},";
}

}  // namespace hearth::api::mcp
