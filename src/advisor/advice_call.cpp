#include "advisor/advice_call.h"

#include <fmt/format.h>

#include <utility>

namespace hearth::advisor {
namespace {

constexpr std::size_t kErrorBodyBytesMax = std::size_t{64} << 10;

}  // namespace

bool CallSink::on_body(std::string_view piece) {
  digest_.update(piece);
  if (!is_refused()) return reader_.feed(piece);
  error_body_.append(piece.substr(0, kErrorBodyBytesMax - error_body_.size()));
  return true;
}

void CallSink::on_end(const net::HttpEnd& end) {
  reader_.finish();
  const bool is_answer = !is_refused();
  on_end_({.end = end,
           .head = std::move(head_),
           .text = reader_.text(),
           .finish_reason = reader_.finish_reason(),
           .use = reader_.use(),
           .error = is_answer ? reader_.error() : read_error_body(error_body_),
           .content_bytes = reader_.content_bytes(),
           .is_complete = reader_.is_complete(),
           .is_cut = reader_.is_cut(),
           .is_garbled = reader_.is_garbled(),
           .response_sha256 = digest_.finish()});
}

CallVerdict judge(const CallResult& result) {
  if (!result.end.may_have_sent) {
    return {"not_sent", "can't be reached: " + result.end.detail, false};
  }
  // An answer that reached our limit was cut by us: what came is good.
  if (result.is_cut && !result.text.empty()) return {"too_long", ""};
  if (result.head.status != 0 && !result.is_success_status()) {
    return {"refused", fmt::format("answered {}: {}", result.head.status, words_of(result.error)), false};
  }
  // Once the whole answer is there, how the connection ends is of no interest.
  if (result.is_complete && !result.error.is_set()) {
    if (result.finish_reason == "content_filter") return {"answered", "would not answer this"};
    if (!result.text.empty()) return {"answered", ""};
  }
  if (result.is_garbled) return {"broken", "answered something that is no chat completion"};
  if (auto verdict = judge_transport(result.end)) return *verdict;
  if (result.error.is_set()) {
    const bool is_charged = result.content_bytes > 0 || result.use.prompt_tokens >= 0;
    return {"refused", "gave up: " + words_of(result.error), is_charged};
  }
  if (!result.is_complete) return {"broken", "broke off in the middle of its answer"};
  if (result.text.empty()) return {"answered", "answered with no text"};
  return {"answered", ""};
}

bool is_providers_failure(const CallResult& result, const CallVerdict& verdict) {
  if (verdict.problem.empty() || result.end.failure == net::HttpFailure::kCancelled) return false;
  if (result.head.status >= 300) return result.head.status >= 500;
  return verdict.outcome != "answered" && verdict.outcome != "too_long";
}

}  // namespace hearth::advisor
