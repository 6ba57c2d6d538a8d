#include "advisor/pricing.h"

#include <algorithm>

namespace hearth::advisor {
namespace {

constexpr std::int64_t kTokensPerPrice = 1'000'000;
constexpr std::int64_t kTokensMax = std::int64_t{1} << 40;  // Keeps products far from overflow
constexpr std::int64_t kPriceMax = std::int64_t{10'000} * 1'000'000;  // together with this.

// In 128 bits: a lying provider may report any number of tokens.
__extension__ using Wide = __int128;

struct Counts {
  std::int64_t prompt, cached, completion;
};

std::int64_t cost(const Prices& prices, const Counts& counts) {
  const std::int64_t cached_price = prices.cached_usd_micro_per_mtok >= 0
                                        ? prices.cached_usd_micro_per_mtok
                                        : prices.in_usd_micro_per_mtok;
  const auto part = [](std::int64_t tokens, std::int64_t price) {
    return Wide{std::clamp<std::int64_t>(tokens, 0, kTokensMax)} *
           std::clamp<std::int64_t>(price, 0, kPriceMax);
  };
  const Wide sum = part(counts.prompt - counts.cached, prices.in_usd_micro_per_mtok) +
                   part(counts.cached, cached_price) +
                   part(counts.completion, prices.out_usd_micro_per_mtok);
  return static_cast<std::int64_t>((sum + kTokensPerPrice - 1) / kTokensPerPrice);
}

std::int64_t at_least_tokens(std::uint64_t bytes) {
  return static_cast<std::int64_t>(bytes) / kBytesPerTokenMax;
}

}  // namespace

std::int64_t worst_case_usd_micro(const Prices& prices, const Traffic& traffic) {
  Prices dearest =
      prices;  // Some providers charge more for writing a cache; we never ask for that.
  dearest.cached_usd_micro_per_mtok = -1;
  return cost(dearest, {.prompt = static_cast<std::int64_t>(traffic.request_bytes),
                        .cached = 0,
                        .completion = traffic.max_output_tokens});
}

std::int64_t reported_usd_micro(const Prices& prices, const TokenUse& use) {
  if (!use.is_reported()) return 0;
  const std::int64_t cached = std::clamp<std::int64_t>(use.cached_tokens, 0, use.prompt_tokens);
  return cost(prices, {use.prompt_tokens, cached, use.completion_tokens});
}

std::int64_t charge_usd_micro(const Prices& prices, const Traffic& traffic, const TokenUse& use) {
  const std::int64_t worst = worst_case_usd_micro(prices, traffic);
  if (!use.is_reported()) return worst;
  const auto request_bytes = static_cast<std::int64_t>(traffic.request_bytes);
  const std::int64_t prompt =
      std::clamp(use.prompt_tokens, at_least_tokens(traffic.request_bytes), request_bytes);
  const std::int64_t completion_min =
      std::min<std::int64_t>(at_least_tokens(traffic.content_bytes), traffic.max_output_tokens);
  const std::int64_t completion =
      std::clamp<std::int64_t>(use.completion_tokens, completion_min, traffic.max_output_tokens);
  const std::int64_t cached = std::clamp<std::int64_t>(use.cached_tokens, 0, prompt);
  return std::min(worst, cost(prices, {prompt, cached, completion}));
}

}  // namespace hearth::advisor
