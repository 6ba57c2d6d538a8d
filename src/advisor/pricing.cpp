#include "advisor/pricing.h"

#include <algorithm>

namespace hearth::advisor {
namespace {

constexpr std::int64_t kTokensPerPrice = 1'000'000;
constexpr std::int64_t kTokensMax = std::int64_t{1} << 40;  // Keeps products far from overflow
constexpr std::int64_t kPriceMax = std::int64_t{10'000} * 1'000'000;  // together with these.
constexpr std::int64_t kPercentMax = 1'000;

// In 128 bits: a lying provider may report any number of tokens.
__extension__ using Wide = __int128;

// Tokens by what they cost; `prompt` is all input, the next three are parts of it.
struct Counts {
  std::int64_t prompt = 0, cached = 0, written = 0, kept = 0, completion = 0;
  bool is_dearest = false;  // All input is of the dearest kind.
};

std::int64_t price_or(std::int64_t price, std::int64_t instead) { return price >= 0 ? price : instead; }

std::int64_t dearest_input(const Prices& prices) {
  return std::max({prices.in_usd_micro_per_mtok, prices.cached_usd_micro_per_mtok,
                   prices.cache_write_usd_micro_per_mtok});
}

Wide part(std::int64_t tokens, std::int64_t price) {
  return Wide{std::clamp<std::int64_t>(tokens, 0, kTokensMax)} *
         std::clamp<std::int64_t>(price, 0, kPriceMax);
}

// In micro-dollars per kTokensPerPrice.
Wide input_cost(const Prices& prices, const Counts& counts) {
  const std::int64_t in = prices.in_usd_micro_per_mtok;
  if (counts.is_dearest) return part(counts.prompt, dearest_input(prices));
  return part(counts.prompt - counts.cached - counts.written, in) +
         part(counts.cached, price_or(prices.cached_usd_micro_per_mtok, in)) +
         part(counts.written - counts.kept, price_or(prices.cache_write_usd_micro_per_mtok, in)) +
         2 * part(counts.kept, in);
}

std::int64_t cost(const Prices& prices, const Counts& counts) {
  const bool is_long = prices.long_prompt_tokens > 0 && counts.prompt > prices.long_prompt_tokens;
  const auto percent = [&](std::int64_t of_long) {
    return std::clamp<std::int64_t>(is_long ? of_long : 100, 100, kPercentMax);
  };
  const Wide sum = input_cost(prices, counts) * percent(prices.long_in_percent) +
                   part(counts.completion, prices.out_usd_micro_per_mtok) * percent(prices.long_out_percent);
  constexpr Wide kUnit = Wide{kTokensPerPrice} * 100;
  return static_cast<std::int64_t>((sum + kUnit - 1) / kUnit);
}

std::int64_t at_least_tokens(std::uint64_t bytes) {
  return static_cast<std::int64_t>(bytes) / kBytesPerTokenMax;
}

std::int64_t most_prompt_tokens(const Traffic& traffic) {
  return static_cast<std::int64_t>(traffic.request_bytes + traffic.added_prompt_tokens);
}

Counts worst_counts(const Traffic& traffic) {
  return {.prompt = most_prompt_tokens(traffic), .completion = traffic.max_output_tokens, .is_dearest = true};
}

// The kinds of input as reported; where they can't be, the dearest.
void split_prompt(const TokenUse& use, Counts& counts) {
  counts.cached = std::clamp<std::int64_t>(use.cached_tokens, 0, kTokensMax);
  counts.written = std::clamp<std::int64_t>(use.cache_write_tokens, 0, kTokensMax);
  counts.kept = std::clamp<std::int64_t>(use.kept_write_tokens, 0, counts.written);
  const std::int64_t parts = counts.cached + counts.written;
  counts.is_dearest = parts > use.prompt_tokens || parts > counts.prompt;
}

}  // namespace

std::int64_t worst_case_usd_micro(const Prices& prices, const Traffic& traffic) {
  return cost(prices, worst_counts(traffic));
}

std::int64_t reported_usd_micro(const Prices& prices, const TokenUse& use) {
  if (!use.is_reported()) return 0;
  Counts counts{.prompt = use.prompt_tokens, .completion = use.completion_tokens};
  split_prompt(use, counts);
  return cost(prices, counts);
}

std::int64_t charge_usd_micro(const Prices& prices, const Traffic& traffic, const TokenUse& use) {
  Counts counts = worst_counts(traffic);
  if (use.prompt_tokens >= 0) {
    counts.prompt = std::clamp(use.prompt_tokens, at_least_tokens(traffic.request_bytes), counts.prompt);
    split_prompt(use, counts);
  }
  if (use.completion_tokens >= 0) {
    const std::int64_t least = std::min(at_least_tokens(traffic.content_bytes), counts.completion);
    counts.completion = std::clamp(use.completion_tokens, least, counts.completion);
  }
  return std::min(worst_case_usd_micro(prices, traffic), cost(prices, counts));
}

}  // namespace hearth::advisor
