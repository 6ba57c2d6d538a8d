#include "hub/upstream/fetch.h"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

namespace hearth::hub {
namespace {

class BodySink final : public net::HttpSink {
 public:
  void on_head(const net::HttpResponseHead& head) override { fetched_.status = head.status; }
  bool on_body(std::string_view piece) override {
    fetched_.body.append(piece);
    return true;
  }
  void on_end(const net::HttpEnd& end) override {
    const std::lock_guard lock(mutex_);
    end_ = end;
    ended_.notify_all();
  }
  Result<Fetched> wait() {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return end_.has_value(); });
    if (end_->failure == net::HttpFailure::kNone) return std::move(fetched_);
    if (end_->failure == net::HttpFailure::kCancelled) return fail(Code::kCancelled, end_->detail);
    return fail(Code::kUnavailable, end_->detail);
  }

 private:
  Fetched fetched_;  // The HTTP thread's until it has ended.
  std::mutex mutex_;
  std::condition_variable ended_;
  std::optional<net::HttpEnd> end_;
};

}  // namespace

Result<Fetched> fetch(net::HttpClient& client, net::HttpPost post, const std::stop_token& stop) {
  const auto sink = std::make_shared<BodySink>();
  const net::HttpCallId call = client.post(std::move(post), sink);
  const std::stop_callback cancel(stop, [&] { client.cancel(call); });
  return sink->wait();
}

}  // namespace hearth::hub
