// Each message is a POST of its own.  What HTTP wants in headers is read from the message; a session that the hub
// opens is remembered here.  A wish to cancel ends the POST, which the hub understands in every revision.
#include "cli/mcp_proxy.h"

#include <fmt/format.h>

#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "api/mcp/revision.h"
#include "cli/api_keys.h"
#include "net/http_client.h"
#include "net/sse.h"

namespace hearth::cli {
namespace {

namespace mcp = api::mcp;
using nlohmann::json;

constexpr std::uint64_t kAnswerBytesMax = std::uint64_t{64} << 20;
constexpr std::chrono::hours kAnswerTimeMax{24};  // Heartbeats tell whether the hub is alive.

// What one line's POST needs from the others.  Threading: any thread.
class Calls {
 public:
  void add(const std::string& id, net::HttpCallId call) {
    const std::lock_guard lock(mutex_);
    if (ended_early_.erase(id) == 0) running_[id] = call;
  }
  void end(const std::string& id) {
    const std::lock_guard lock(mutex_);
    if (running_.erase(id) == 0) ended_early_.insert(id);
  }
  std::optional<net::HttpCallId> find(const std::string& id) const {
    const std::lock_guard lock(mutex_);
    const auto found = running_.find(id);
    return found == running_.end() ? std::nullopt : std::optional(found->second);
  }
  void set_session(std::string id) {
    const std::lock_guard lock(mutex_);
    session_ = std::move(id);
  }
  std::string session() const {
    const std::lock_guard lock(mutex_);
    return session_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, net::HttpCallId> running_;
  std::set<std::string> ended_early_;  // Before their call was known.
  std::string session_;
};

// Writes what comes back for one message: one JSON object, or a stream of them.
class Receiver final : public net::HttpSink {
 public:
  Receiver(std::string url, std::string id, std::shared_ptr<Calls> calls, LineWriter& output)
      : url_(std::move(url)), id_(std::move(id)), calls_(std::move(calls)), output_(output),
        events_([this](const net::SseEvent& event) { on_event(event); }, kAnswerBytesMax) {}

  void on_head(const net::HttpResponseHead& head) override {
    status_ = head.status;
    const std::string* const type = head.find("Content-Type");
    is_stream_ = type != nullptr && type->starts_with("text/event-stream");
    if (const std::string* const session = head.find("Mcp-Session-Id")) calls_->set_session(*session);
  }

  bool on_body(std::string_view piece) override {
    if (!is_stream_) {
      body_ += piece;
      return true;
    }
    return events_.feed(piece).has_value();
  }

  void on_end(const net::HttpEnd& end) override {
    if (!id_.empty()) calls_->end(id_);
    if (end.failure == net::HttpFailure::kCancelled) return;
    if (end.failure != net::HttpFailure::kNone) return refuse(fmt::format("the hub at {} did not answer: {}", url_, end.detail));
    if (is_stream_ || body_.empty()) return;
    const json answer = json::parse(body_, nullptr, /*allow_exceptions=*/false);
    if (answer.is_object() && answer.contains("id")) return output_.write(body_);
    const json message = answer.is_object() && answer.contains("error") && answer["error"].is_object() ? answer["error"].value("message", json{}) : json{};
    refuse(message.is_string() ? message.get<std::string>() : fmt::format("{} answered with status {}; is it a Hearth hub?", url_, status_));
  }

 private:
  void on_event(const net::SseEvent& event) {
    if (!event.data.empty()) output_.write(event.data);
  }

  // Nothing is said of a notification that was lost.
  void refuse(std::string sentence) {
    if (id_.empty()) return;
    output_.write(mcp::render_error({.message = std::move(sentence), .id = id_}));
  }

  const std::string url_, id_;
  const std::shared_ptr<Calls> calls_;
  LineWriter& output_;
  net::SseParser events_;
  int status_ = 0;
  bool is_stream_ = false;
  std::string body_;
};

std::string_view text_of(const mcp::Message& message, std::string_view member) {
  std::string_view text;
  if (!message.params || (*message.params)[member].get_string().get(text) != simdjson::SUCCESS) return {};
  return text;
}

// Those that repeat the message, and those that the user set.
std::vector<net::HttpHeader> headers_of(const mcp::Message& message, const mcp::Meta& meta, const std::string& session) {
  std::vector<net::HttpHeader> headers = {{"Content-Type", "application/json"}, {"Accept", "application/json, text/event-stream"}};
  if (meta.version) {
    headers.push_back({"MCP-Protocol-Version", mcp::encode_header(*meta.version)});
    headers.push_back({"Mcp-Method", mcp::encode_header(message.method)});
    const std::string_view name = message.method == "resources/read" ? text_of(message, "uri") : text_of(message, "name");
    if (!name.empty()) headers.push_back({"Mcp-Name", mcp::encode_header(name)});
  } else if (message.method != "initialize" && !session.empty()) {
    headers.push_back({"Mcp-Session-Id", session});
  }
  if (const std::string key = own_api_key(); !key.empty()) {
    headers.push_back({"Authorization", fmt::format("Bearer {}", key), /*secret=*/true});
  }
  return headers;
}

// The id of the request that a message wishes to cancel.
std::optional<std::string> cancelled_by(const mcp::Message& message) {
  mcp::dom::element id;
  if (message.method != "notifications/cancelled" || !message.params) return std::nullopt;
  if ((*message.params)["requestId"].get(id) != simdjson::SUCCESS) return std::nullopt;
  return mcp::token_text(id);
}

}  // namespace

Result<> pass_on_mcp(const std::string& url, LineReader& input, LineWriter& output) {
  const auto calls = std::make_shared<Calls>();
  HEARTH_TRY(const auto client, net::HttpClient::create());
  mcp::dom::parser parser;
  while (auto line = input.next()) {
    const auto message = mcp::read_message(parser, *line);
    const auto meta = message ? mcp::read_meta(*message) : std::unexpected(message.error());
    if (!meta) {
      output.write(mcp::render_error(meta.error()));
      continue;
    }
    if (const auto id = cancelled_by(*message)) {
      if (const auto call = calls->find(*id)) client->cancel(*call);
      continue;
    }
    net::HttpPost post{.url = url + "/mcp", .headers = headers_of(*message, *meta, calls->session()), .body = *line};
    post.timeouts.total = kAnswerTimeMax;
    post.response_bytes_max = kAnswerBytesMax;
    const auto call = client->post(std::move(post), std::make_shared<Receiver>(url, message->id, calls, output));
    if (!message->id.empty()) calls->add(message->id, call);
  }
  return {};
}

}  // namespace hearth::cli
