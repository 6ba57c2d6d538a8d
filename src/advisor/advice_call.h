// One call to an adviser: how its answer is read on the HTTP thread, and what its end means.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "advisor/recorded_call.h"
#include "advisor/wire/answer_reader.h"
#include "base/digest.h"
#include "net/http_client.h"

namespace hearth::advisor {

// How a call ended, as the HTTP thread saw it.
struct CallResult {
  net::HttpEnd end;
  net::HttpResponseHead head;
  std::string text;
  std::string finish_reason;
  TokenUse use;
  ProviderError error;
  std::uint64_t content_bytes = 0;
  bool is_complete = false;
  bool is_cut = false;
  bool is_garbled = false;
  Sha256 response_sha256{};

  bool is_success_status() const { return head.status >= 200 && head.status < 300; }
};

CallVerdict judge(const CallResult& result);

// Whether that end says something of the provider (and not of the request): for its circuit breaker.
bool is_providers_failure(const CallResult& result, const CallVerdict& verdict);

// Reports once, at the end.
class CallSink final : public net::HttpSink {
 public:
  using OnEnd = std::function<void(CallResult)>;

  CallSink(const WireFormat& wire, std::uint64_t text_bytes_max, OnEnd on_end)
      : on_end_(std::move(on_end)), reader_(wire, {.text_bytes_max = text_bytes_max}) {}

  void on_head(const net::HttpResponseHead& head) override { head_ = head; }
  bool on_body(std::string_view piece) override;
  void on_end(const net::HttpEnd& end) override;

 private:
  bool is_refused() const { return head_.status < 200 || head_.status >= 300; }

  OnEnd on_end_;
  AnswerReader reader_;
  net::HttpResponseHead head_;
  std::string error_body_;
  Sha256Stream digest_;
};

}  // namespace hearth::advisor
