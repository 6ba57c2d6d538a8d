// What a call may cost at worst, what it did cost, and what to believe of a provider's
// own account of it.
//
// Money is integer micro-dollars; a price is micro-dollars per million tokens (so 3.00
// USD per million is 3'000'000), and every cost is rounded up.
#pragma once

#include <cstdint>

namespace hearth::advisor {

struct Prices {
  std::int64_t in_usd_micro_per_mtok = 0;
  std::int64_t out_usd_micro_per_mtok = 0;
  std::int64_t cached_usd_micro_per_mtok = -1;  // Of input found in a cache; below 0: as `in`.
};

struct TokenUse {
  std::int64_t prompt_tokens = -1;  // -1: not reported.
  std::int64_t cached_tokens = -1;  // Of the prompt.
  std::int64_t completion_tokens = -1;

  bool is_reported() const { return prompt_tokens >= 0 && completion_tokens >= 0; }
};

// What really moved, counted by us.
struct Traffic {
  std::uint64_t request_bytes = 0;  // Of the request's body.
  std::uint64_t content_bytes = 0;  // Of the answer's text.
  std::uint32_t max_output_tokens = 0;
};

// A token is at least one byte of the request's body: templates of providers add a few per message,
// but JSON's own syntax around each message is longer.
std::int64_t worst_case_usd_micro(const Prices& prices, const Traffic& traffic);

// By the provider's own numbers, taken literally; 0 if it reported none.
std::int64_t reported_usd_micro(const Prices& prices, const TokenUse& use);

// What to charge against the budget for a call that was answered (at least in part):
//  * no usage reported: the worst case;
//  * else the reported usage, each count brought into the range that the bytes allow: a prompt has
//    at most a token per byte and at least one per kBytesPerTokenMax bytes; a completion at least
//    one per kBytesPerTokenMax bytes received and at most max_output_tokens.
// Never above worst_case_usd_micro.
std::int64_t charge_usd_micro(const Prices& prices, const Traffic& traffic, const TokenUse& use);

// An assumption, generous to the provider: ordinary text runs at a few bytes a token, and only long
// runs of one character exceed this.
inline constexpr std::int64_t kBytesPerTokenMax = 16;

}  // namespace hearth::advisor
