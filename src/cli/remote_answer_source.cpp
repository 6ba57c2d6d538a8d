#include "cli/remote_answer_source.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "api/hearth/consents.h"
#include "cli/api_keys.h"
#include "cli/pending_answer.h"
#include "hub/receipt_json.h"
#include "net/sse.h"

namespace hearth::cli {
namespace {

using nlohmann::json;
using nlohmann::literals::operator""_json_pointer;

json request_json(const std::vector<hub::Message>& messages, const AnswerOptions& options) {
  json body = {{"model", options.model}, {"stream", true}, {"stream_options", {{"include_usage", true}}}};
  for (const hub::Message& message : messages) {
    body["messages"].push_back({{"role", hub::role_name(message.role)}, {"content", message.content}});
  }
  if (options.max_tokens > 0) body["max_tokens"] = options.max_tokens;
  if (options.temperature) body["temperature"] = *options.temperature;
  if (options.seed) body["seed"] = *options.seed;
  if (!options.advice.empty()) body["hearth"]["advice"] = options.advice;
  if (options.is_preview) body["hearth"]["preview"] = true;
  if (!options.may_store) body["store"] = false;
  return body;
}

// What the hub's own statuses mean, the other way round.
Code code_of_status(int status) {
  switch (status) {
    case 401:
    case 403: return Code::kPermissionDenied;
    case 404: return Code::kNotFound;
    case 429:
    case 503: return Code::kUnavailable;
    default: return status < 500 ? Code::kInvalidArgument : Code::kInternal;
  }
}

// Feeds what arrives into a PendingAnswer: events of a good answer, or one body of a bad one.
class Receiver final : public net::HttpSink {
 public:
  Receiver(std::string url, std::shared_ptr<PendingAnswer> pending)
      : url_(std::move(url)), pending_(std::move(pending)), events_([this](const net::SseEvent& event) { on_event(event); }) {}

  void on_head(const net::HttpResponseHead& head) override { status_ = head.status; }

  bool on_body(std::string_view piece) override {
    if (status_ != 200) {
      error_body_ += piece;
    } else if (auto fed = events_.feed(piece); !fed) {
      pending_->end(std::unexpected(fed.error()));
    }
    return true;
  }

  void on_end(const net::HttpEnd& end) override {
    if (end.failure != net::HttpFailure::kNone) {
      pending_->end(fail(Code::kUnavailable, fmt::format("the hub at {} did not answer: {}", url_, end.detail)));
    } else if (status_ != 200) {
      pending_->end(fail(code_of_status(status_), error_message(json::parse(error_body_, nullptr, false))));
    } else {
      pending_->end(receipt_);
    }
  }

 private:
  std::string error_message(const json& body) const {
    const json message = body.is_object() ? body.value("/error/message"_json_pointer, json{}) : json{};
    if (message.is_string()) return message;
    return fmt::format("{} answered with status {}; is it a Hearth hub?", url_, status_);
  }

  void on_event(const net::SseEvent& event) {
    if (!event.comment.empty()) return on_comment(event.comment);
    const json body = json::parse(event.data, nullptr, false);
    if (!body.is_object()) return;  // "[DONE]"
    try {
      on_chunk(body);
    } catch (const json::exception& error) {
      pending_->end(fail(Code::kCorrupt, fmt::format("{} sent what no hub sends: {}", url_, error.what())));
    }
  }

  // What the hub is doing meanwhile; not the receipt's id or a heartbeat, which are for programs.
  void on_comment(const std::string& text) {
    for (const std::string_view mark : {api::hearth::kConsentMark, api::hearth::kPreviewMark}) {
      if (text.starts_with(mark)) return on_departure(json::parse(text.substr(mark.size()), nullptr, false));
    }
    if (!text.starts_with("x-hearth-receipt:") && text != "still working") pending_->add_status(text);
  }

  void on_departure(const json& said) {
    if (!said.is_object()) return;
    advisor::Departure departure;
    const auto text = [&](const char* key) { return said.value(key, json{}).is_string() ? said[key].get<std::string>() : ""; };
    departure.consent = text("id");
    departure.request_id = text("request");
    departure.provider = text("provider");
    departure.model = text("model");
    departure.url = text("url");
    departure.body = text("body");
    departure.label = text("label");
    const json worst = said.value("worst_usd_micro", json{});
    if (worst.is_number_integer()) departure.worst_usd_micro = worst;
    pending_->add_departure(std::make_shared<const advisor::Departure>(std::move(departure)));
  }

  void on_chunk(const json& body) {
    if (body.contains("error")) return pending_->end(fail(Code::kInternal, error_message(body)));
    if (body.contains("hearth")) {
      if (auto receipt = hub::receipt_from_json(body["hearth"].dump())) receipt_ = *std::move(receipt);
    }
    for (const json& choice : body.value("choices", json::array())) {
      const json delta = choice.value("delta", json::object());
      if (const json thinking = delta.value("reasoning_content", json{}); thinking.is_string()) {
        pending_->add_thinking(thinking);
      }
      if (delta.contains("content") && delta["content"].is_string()) pending_->add_text(delta["content"]);
      if (choice.value("finish_reason", json{}) == "length") pending_->set_reason(engine::FinishReason::kLength);
    }
  }

  std::string url_;
  std::shared_ptr<PendingAnswer> pending_;
  net::SseParser events_;
  int status_ = 0;
  std::string error_body_;
  hub::Receipt receipt_;
};

// Says if an answer to a consent did not arrive: then nothing leaves.
class ReplySink final : public net::HttpSink {
 public:
  explicit ReplySink(std::shared_ptr<PendingAnswer> pending) : pending_(std::move(pending)) {}
  void on_head(const net::HttpResponseHead& head) override { status_ = head.status; }
  bool on_body(std::string_view) override { return true; }
  void on_end(const net::HttpEnd& end) override {
    if (end.failure != net::HttpFailure::kNone) pending_->add_status("the hub did not hear of your consent: " + end.detail);
    if (status_ == 404) pending_->add_status("it no longer waits for consent: nobody answered in time");
  }

 private:
  std::shared_ptr<PendingAnswer> pending_;
  int status_ = 0;
};

}  // namespace

RemoteAnswerSource::RemoteAnswerSource(std::string url, std::unique_ptr<net::HttpClient> client)
    : url_(std::move(url)), client_(std::move(client)) {}

Result<std::unique_ptr<AnswerSource>> RemoteAnswerSource::open(const std::string& url) {
  HEARTH_TRY(auto client, net::HttpClient::create());
  std::string trimmed = url;
  while (trimmed.ends_with('/')) trimmed.pop_back();
  return std::unique_ptr<AnswerSource>(new RemoteAnswerSource(std::move(trimmed), std::move(client)));
}

Result<Answer> RemoteAnswerSource::answer(const std::vector<hub::Message>& messages, const AnswerOptions& options,
                                          const AnswerListener& listener) {
  net::HttpPost post = post_of("/v1/chat/completions", request_json(messages, options));
  const auto pending = std::make_shared<PendingAnswer>();
  const auto call = client_->post(std::move(post), std::make_shared<Receiver>(url_, pending));
  return pending->wait(listener, [&] { client_->cancel(call); }, [&](const std::string& consent, const ConsentReply& reply) {
    const json answer = {{"answer", reply.is_allowed ? "allow" : "refuse"}, {"remember", reply.is_remembered}};
    client_->post(post_of("/hearth/v1/consents/" + consent, answer), std::make_shared<ReplySink>(pending));
  });
}

net::HttpPost RemoteAnswerSource::post_of(const std::string& path, const json& body) const {
  net::HttpPost post{.url = url_ + path,
                     .headers = {{"Content-Type", "application/json"}},
                     .body = body.dump(-1, ' ', false, json::error_handler_t::replace)};
  if (const std::string key = own_api_key(); !key.empty()) {
    post.headers.push_back({"Authorization", fmt::format("Bearer {}", key), /*secret=*/true});
  }
  return post;
}

}  // namespace hearth::cli
