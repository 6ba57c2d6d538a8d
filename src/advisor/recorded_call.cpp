#include "advisor/recorded_call.h"

#include <fmt/format.h>

#include <algorithm>

namespace hearth::advisor {

std::string recorded_headers(std::span<const net::HttpHeader> headers) {
  std::string lines;
  for (const net::HttpHeader& header : headers) {
    lines += fmt::format("{}: {}\n", header.name, header.secret ? "(not recorded)" : header.value);
  }
  return lines;
}

std::string words_of(const ProviderError& error) {
  std::string words = error.message;
  const std::string& name = error.code.empty() ? error.type : error.code;
  if (!name.empty()) words += words.empty() ? name : fmt::format(" ({})", name);
  return words.empty() ? "no reason given" : words;
}

std::optional<CallVerdict> judge_transport(const net::HttpEnd& end) {
  switch (end.failure) {
    case net::HttpFailure::kNone:
      return std::nullopt;
    case net::HttpFailure::kTimeout:
      return CallVerdict{"timeout", "was too slow: " + end.detail};
    case net::HttpFailure::kConnect:
      return CallVerdict{"broken", "can't be reached: " + end.detail};
    case net::HttpFailure::kBroken:
      return CallVerdict{"broken", "broke off: " + end.detail};
    case net::HttpFailure::kTooLarge:
      return CallVerdict{"too_long", "answered too much: " + end.detail};
    case net::HttpFailure::kCancelled:
      return CallVerdict{"cancelled", "was not waited for"};
  }
  return std::nullopt;
}

ledger::Settlement settlement_of(const CallAccount& account, const CallVerdict& verdict) {
  ledger::Settlement settlement{
      .reported_usd_micro =
          std::min(reported_usd_micro(account.prices, account.use), ledger::kUsdMicroMax),
      .prompt_tokens = account.use.prompt_tokens,
      .cached_tokens = account.use.cached_tokens,
      .cache_write_tokens = account.use.cache_write_tokens,
      .completion_tokens = account.use.completion_tokens,
      .http_status = account.http_status,
      .outcome = verdict.outcome,
      .bytes_in = account.end.body_bytes_in};
  if (verdict.is_charged) {
    settlement.charged_usd_micro = charge_usd_micro(account.prices, account.traffic, account.use);
  }
  if (account.end.body_bytes_in > 0) settlement.response_sha256 = account.response_sha256;
  return settlement;
}

}  // namespace hearth::advisor
