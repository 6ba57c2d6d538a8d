#include "cli/receipt_text.h"

#include <fmt/format.h>

#include "cli/terminal.h"

namespace hearth::cli {

std::string receipt_line(const hub::Receipt& receipt) {
  std::string line = receipt.model;
  if (!receipt.adapter.empty()) line += "@" + receipt.adapter;
  line += fmt::format(" · {} tokens · first after {:.0f} ms", receipt.usage.completion_tokens, receipt.first_token_ms);
  if (receipt.usage.restored_tokens > 0) {
    line += fmt::format(" ({} of {} prompt tokens from disk)", receipt.usage.restored_tokens, receipt.usage.prompt_tokens);
  }
  if (receipt.tokens_per_second > 0) line += fmt::format(", {:.0f} tokens/s", receipt.tokens_per_second);
  if (receipt.upstream.empty()) {
    line += fmt::format(" · confidence {:.2f}", receipt.confidence);
  } else {
    line += fmt::format(" · by {}", receipt.place);
  }
  if (!receipt.choice.empty()) line += fmt::format(" · chosen: {}", receipt.choice);
  if (!receipt.left_out.empty()) line += fmt::format(" · it takes no {}", receipt.left_out);
  if (receipt.advice == hub::AdviceOutcome::kAdvised) {
    line += fmt::format(" · advised by {} for {}", receipt.adviser, format_usd(receipt.cost_usd_micro));
  } else if (receipt.advice != hub::AdviceOutcome::kNotNeeded) {
    line += fmt::format(" · unadvised ({})", receipt.advice_detail.empty() ? hub::advice_outcome_name(receipt.advice)
                                                                          : receipt.advice_detail);
  }
  if (!receipt.upstream.empty() && receipt.cost_usd_micro > 0) {
    line += fmt::format(" · cost {}", format_usd(receipt.cost_usd_micro));
  }
  line += receipt.bytes_out == 0 ? " · nothing left this machine" : fmt::format(" · {} bytes left this machine", receipt.bytes_out);
  return line + fmt::format(" · {}", receipt.id);
}

}  // namespace hearth::cli
