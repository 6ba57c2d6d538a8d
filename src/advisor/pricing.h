// What a call may cost at worst, what it did cost, and what to believe of a provider's
// own account of it.
//
// Money is integer micro-dollars; a price is micro-dollars per million tokens (so 3.00
// USD per million is 3'000'000), and every cost is rounded up.
//
// Tokens fall into four buckets, each with a price of its own: input, input found in a cache, input
// written to a cache, and output (thinking included).
#pragma once

#include <cstdint>

namespace hearth::advisor {

struct Prices {
  std::int64_t in_usd_micro_per_mtok = 0;
  std::int64_t out_usd_micro_per_mtok = 0;
  std::int64_t cached_usd_micro_per_mtok = -1;       // Of input found in a cache; below 0: as `in`.
  std::int64_t cache_write_usd_micro_per_mtok = -1;  // Of input written to one; below 0: as `in`.
  // A prompt of more tokens than this makes the whole call dearer: input of each kind and output cost
  // so many percent.  0: no such step.
  std::int64_t long_prompt_tokens = 0;
  std::int64_t long_in_percent = 100;
  std::int64_t long_out_percent = 100;

  bool operator==(const Prices&) const = default;
};

struct TokenUse {
  std::int64_t prompt_tokens = -1;  // Of all kinds of input; -1: not reported.
  std::int64_t cached_tokens = -1;  // Of the prompt, found in a cache.
  std::int64_t completion_tokens = -1;  // Thinking included.
  std::int64_t cache_write_tokens = -1;  // Of the prompt, written to a cache.
  std::int64_t kept_write_tokens = -1;   // Of these, those that are kept for an hour, at twice `in`.
  std::int64_t reasoning_tokens = -1;    // Of the completion.

  bool is_reported() const { return prompt_tokens >= 0 && completion_tokens >= 0; }
};

// What really moved, counted by us.
struct Traffic {
  std::uint64_t request_bytes = 0;  // Of the request's body.
  std::uint64_t content_bytes = 0;  // Of the answer's text, thinking and calls.
  std::uint32_t max_output_tokens = 0;
  std::uint32_t added_prompt_tokens = 0;  // At most so many more does the provider add by itself.
};

// A token is at least one byte of the request's body: templates of providers add a few per message,
// but JSON's own syntax around each message is longer.  Each counts as the dearest kind of input.
std::int64_t worst_case_usd_micro(const Prices& prices, const Traffic& traffic);

// By the provider's own numbers, taken literally; 0 if it reported none.
std::int64_t reported_usd_micro(const Prices& prices, const TokenUse& use);

// What to charge against the budget for a call that was answered (at least in part):
//  * input or output that is not reported: its worst case;
//  * else the reported usage, each count brought into the range that the bytes allow: a prompt has
//    at most a token per byte and at least one per kBytesPerTokenMax bytes; a completion at least
//    one per kBytesPerTokenMax bytes received and at most max_output_tokens;
//  * where the parts of a prompt are more than the whole, all of it is of the dearest kind.
// Never above worst_case_usd_micro.
std::int64_t charge_usd_micro(const Prices& prices, const Traffic& traffic, const TokenUse& use);

// An assumption, generous to the provider: ordinary text runs at a few bytes a token, and only long
// runs of one character exceed this.
inline constexpr std::int64_t kBytesPerTokenMax = 16;

}  // namespace hearth::advisor
