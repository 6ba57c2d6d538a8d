#include "cli/advisers.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

namespace hearth::cli {
namespace {

std::int64_t usd_micro(double usd) { return std::llround(usd * 1e6); }
std::int64_t usd_micro_or_unknown(double usd) { return usd < 0 ? -1 : usd_micro(usd); }
std::int64_t percent(double factor) { return std::llround(factor * 100); }

// [advisor] as one of [[advisers]]; nullopt if there is none.
std::optional<Config::Adviser> first_of(const Config::Advisor& config) {
  if (config.base_url.empty() && config.wire.empty()) return std::nullopt;
  return Config::Adviser{.provider = config.provider,
                         .wire = config.wire,
                         .base_url = config.base_url,
                         .model = config.model,
                         .key_env = config.key_env,
                         .key_file = config.key_file,
                         .max_output_tokens = config.max_output_tokens};
}

Result<advisor::AdviserOptions> options_of(const Config& config, const Config::Adviser& adviser) {
  HEARTH_TRY(const auto prices, model_prices(config, adviser.provider));
  advisor::AdviserOptions options;
  options.provider = adviser.provider;
  options.wire = adviser.wire;
  options.base_url = adviser.base_url;
  options.model = adviser.model;
  options.key_env = adviser.key_env;
  options.key_file = adviser.key_file;
  for (const auto& [model, price] : prices) {
    if (model == adviser.model) options.prices = price;
  }
  options.budget = budget_of(config.budget);
  options.threshold = config.advisor.threshold;
  options.max_output_tokens = static_cast<std::uint32_t>(adviser.max_output_tokens);
  options.attempts_max = static_cast<std::uint32_t>(adviser.attempts);
  options.deadline = std::chrono::seconds(config.advisor.timeout_s);
  return options;
}

}  // namespace

std::optional<advisor::Prices> prices_of(double in_usd_per_mtok, double out_usd_per_mtok) {
  if (in_usd_per_mtok < 0 || out_usd_per_mtok < 0) return std::nullopt;
  return advisor::Prices{.in_usd_micro_per_mtok = usd_micro(in_usd_per_mtok),
                         .out_usd_micro_per_mtok = usd_micro(out_usd_per_mtok)};
}

Result<std::vector<std::pair<std::string, advisor::Prices>>> model_prices(const Config& config,
                                                                          const std::string& provider) {
  std::vector<std::pair<std::string, advisor::Prices>> all;
  for (const Config::Price& price : config.prices) {
    if (price.provider.empty() || price.model.empty() || price.in_usd_per_mtok < 0 || price.out_usd_per_mtok < 0) {
      return fail(Code::kInvalidArgument,
                  fmt::format("one of [[prices]] (provider '{}', model '{}') is not whole: it takes provider, model, "
                              "in_usd_per_mtok and out_usd_per_mtok",
                              price.provider, price.model));
    }
    if (price.provider != provider) continue;
    all.emplace_back(price.model,
                     advisor::Prices{
                         .in_usd_micro_per_mtok = usd_micro(price.in_usd_per_mtok),
                         .out_usd_micro_per_mtok = usd_micro(price.out_usd_per_mtok),
                         .cached_usd_micro_per_mtok = usd_micro_or_unknown(price.cached_usd_per_mtok),
                         .cache_write_usd_micro_per_mtok = usd_micro_or_unknown(price.cache_write_usd_per_mtok),
                         .long_prompt_tokens = price.long_prompt_tokens,
                         .long_in_percent = percent(price.long_in_factor),
                         .long_out_percent = percent(price.long_out_factor)});
  }
  return all;
}

ledger::BudgetLimits budget_of(const Config::Budget& budget) {
  return {.day_usd_micro = usd_micro(budget.usd_per_day),
          .request_usd_micro = usd_micro(budget.usd_per_request)};
}

Result<std::vector<advisor::AdviserOptions>> adviser_options(const Config& config) {
  std::vector<advisor::AdviserOptions> all;
  if (const auto first = first_of(config.advisor)) {
    if (first->model.empty()) {
      return fail(Code::kInvalidArgument, "advisor.base_url is set but advisor.model is not: name the model to ask");
    }
    HEARTH_TRY(advisor::AdviserOptions options, options_of(config, *first));
    const auto own = prices_of(config.advisor.price_in_usd_per_mtok, config.advisor.price_out_usd_per_mtok);
    if (own) options.prices = own;
    all.push_back(std::move(options));
  }
  for (const Config::Adviser& adviser : config.advisers) {
    if (adviser.provider.empty() || adviser.model.empty() || (adviser.base_url.empty() && adviser.wire.empty())) {
      return fail(Code::kInvalidArgument,
                  fmt::format("one of [[advisers]] (provider '{}', model '{}') is not whole: it takes provider, model "
                              "and wire or base_url",
                              adviser.provider, adviser.model));
    }
    HEARTH_TRY(advisor::AdviserOptions options, options_of(config, adviser));
    all.push_back(std::move(options));
  }
  return all;
}

}  // namespace hearth::cli
