#include "advisor/price_list.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace hearth::advisor {
namespace {

constexpr std::string_view kAnthropic = "api.anthropic.com";
constexpr std::string_view kOpenAi = "api.openai.com";
constexpr std::string_view kGoogle = "generativelanguage.googleapis.com";

constexpr std::string_view kAnthropicPage = "https://platform.claude.com/docs/en/about-claude/pricing";
constexpr std::string_view kOpenAiPage = "https://developers.openai.com/api/docs/pricing";
constexpr std::string_view kGooglePage = "https://ai.google.dev/gemini-api/docs/pricing";

// Hundredths of a dollar per million tokens, and of those the tenth part, are whole micro-dollars.
constexpr std::int64_t usd(double amount) { return static_cast<std::int64_t>(amount * 1e6 + 0.5); }

constexpr Prices flat(double in, double cached, double written, double out) {
  return {.in_usd_micro_per_mtok = usd(in),
          .out_usd_micro_per_mtok = usd(out),
          .cached_usd_micro_per_mtok = usd(cached),
          .cache_write_usd_micro_per_mtok = usd(written)};
}

constexpr Prices beyond(std::int64_t tokens, std::int64_t in_percent, std::int64_t out_percent, Prices prices) {
  prices.long_prompt_tokens = tokens;
  prices.long_in_percent = in_percent;
  prices.long_out_percent = out_percent;
  return prices;
}

// Left out, although there are such models, is what has a price for a while only, and what has another
// price for long prompts that was not found.
// clang-format off
constexpr std::array kList = {  //                 in, cached, written, out; USD per million tokens
    ListPrice{kAnthropic, "claude-fable-5-1", flat(10, 0.25, 12.5, 50), "2026-10-24", kAnthropicPage},
    ListPrice{kAnthropic, "claude-fable-5", flat(10, 1, 12.5, 50), "2026-10-24", kAnthropicPage},
    ListPrice{kAnthropic, "claude-opus-5-5", flat(4, 0.2, 5, 20), "2026-10-24", kAnthropicPage},
    ListPrice{kAnthropic, "claude-opus-5", flat(5, 0.5, 6.25, 25), "2026-10-24", kAnthropicPage},
    ListPrice{kAnthropic, "claude-opus-4-8", flat(5, 0.5, 6.25, 25), "2026-10-24", kAnthropicPage},
    ListPrice{kAnthropic, "claude-opus-4-7", flat(5, 0.5, 6.25, 25), "2026-10-24", kAnthropicPage},
    ListPrice{kAnthropic, "claude-opus-4-6", flat(5, 0.5, 6.25, 25), "2026-10-24", kAnthropicPage},
    ListPrice{kAnthropic, "claude-opus-4-5", flat(5, 0.5, 6.25, 25), "2026-10-24", kAnthropicPage},
    ListPrice{kAnthropic, "claude-sonnet-5-5", flat(2, 0.1, 2.5, 10), "2026-10-24", kAnthropicPage},
    ListPrice{kAnthropic, "claude-sonnet-5", flat(2, 0.2, 2.5, 10), "2026-10-24", kAnthropicPage},
    ListPrice{kAnthropic, "claude-sonnet-4-6", flat(3, 0.3, 3.75, 15), "2026-10-24", kAnthropicPage},
    ListPrice{kAnthropic, "claude-haiku-5-5", beyond(100'000, 500, 500, flat(0.1, 0.01, 0.125, 0.5)),
              "2026-10-24", kAnthropicPage},
    ListPrice{kAnthropic, "claude-haiku-4-5", flat(1, 0.1, 1.25, 5), "2026-10-24", kAnthropicPage},
    ListPrice{kOpenAi, "gpt-6.1-sol", beyond(272'000, 200, 150, flat(2, 0.1, 2.5, 10)), "2026-10-01", kOpenAiPage},
    ListPrice{kOpenAi, "gpt-6-sol", beyond(272'000, 200, 150, flat(2, 0.2, 2.5, 10)), "2026-09-24", kOpenAiPage},
    ListPrice{kOpenAi, "gpt-5.6-terra", beyond(272'000, 200, 150, flat(2, 0.2, 2.5, 12)), "2026-10-05",
              kOpenAiPage},
    ListPrice{kOpenAi, "gpt-5.6-luna", beyond(272'000, 200, 150, flat(0.2, 0.02, 0.25, 1.2)), "2026-09-11",
              kOpenAiPage},
    ListPrice{kOpenAi, "gpt-5.4", beyond(272'000, 200, 150, flat(2.5, 0.25, 2.5, 15)), "2026-06-01", kOpenAiPage},
    ListPrice{kGoogle, "gemini-3.1-pro-preview", beyond(200'000, 200, 150, flat(2, 2, 2, 12)), "2026-10-05",
              kGooglePage},
    ListPrice{kGoogle, "gemini-3.5-flash", flat(1.5, 1.5, 1.5, 9), "2026-10-05", kGooglePage},
    ListPrice{kGoogle, "gemini-3.5-flash-lite", flat(0.3, 0.3, 0.3, 2.5), "2026-10-05", kGooglePage},
    ListPrice{kGoogle, "gemini-2.5-pro", beyond(200'000, 200, 150, flat(1.25, 1.25, 1.25, 10)), "2026-03-01",
              kGooglePage},
    ListPrice{kGoogle, "gemini-2.5-flash", flat(0.3, 0.03, 0.3, 2.5), "2026-07-01", kGooglePage},
};
// clang-format on

// "-20250929" or "-2025-09-29".
bool is_date(std::string_view text) {
  if (text.size() != 9 && text.size() != 11) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool is_dash = i == 0 || (text.size() == 11 && (i == 5 || i == 8));
    if (is_dash ? text[i] != '-' : std::isdigit(static_cast<unsigned char>(text[i])) == 0) return false;
  }
  return true;
}

bool names(const ListPrice& row, std::string_view model) {
  return model == row.model || (model.starts_with(row.model) && is_date(model.substr(row.model.size())));
}

}  // namespace

std::span<const ListPrice> price_list() { return kList; }

std::optional<Prices> list_price(std::string_view host, std::string_view model) {
  const auto row =
      std::ranges::find_if(kList, [&](const ListPrice& price) { return price.host == host && names(price, model); });
  if (row == kList.end()) return std::nullopt;
  return row->prices;
}

}  // namespace hearth::advisor
