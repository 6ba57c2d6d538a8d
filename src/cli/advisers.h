// The advisers and what models cost, as the configuration names them.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "advisor/adviser.h"
#include "base/result.h"
#include "cli/config.h"

namespace hearth::cli {

// A budget that is given in dollars and an unknown price must never meet as zero: both prices or none.
std::optional<advisor::Prices> prices_of(double in_usd_per_mtok, double out_usd_per_mtok);

// What [[prices]] say of a provider's models.  kInvalidArgument for one that lacks a name or a price.
Result<std::vector<std::pair<std::string, advisor::Prices>>> model_prices(const Config& config,
                                                                          const std::string& provider);

ledger::BudgetLimits budget_of(const Config::Budget& budget);

// [advisor], then [[advisers]]; empty: nobody is asked.  kInvalidArgument for one that lacks its model or a name.
Result<std::vector<advisor::AdviserOptions>> adviser_options(const Config& config);

}  // namespace hearth::cli
