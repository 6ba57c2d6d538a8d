// Other servers, as the configuration names them.
#pragma once

#include <optional>
#include <vector>

#include "advisor/pricing.h"
#include "base/result.h"
#include "cli/config.h"
#include "hub/hub.h"
#include "hub/upstream/upstream_options.h"

namespace hearth::cli {

// A budget that is given in dollars and an unknown price must never meet as zero: both prices or none.
std::optional<advisor::Prices> prices_of(double in_usd_per_mtok, double out_usd_per_mtok);

ledger::BudgetLimits budget_of(const Config::Budget& budget);

std::vector<hub::UpstreamOptions> upstream_options(const Config& config);

struct UpstreamReport {
  std::vector<hub::ModelEntry> models;
  std::vector<hub::UpstreamState> states;
};

// Asks those of this machine for their models, within seconds.  Errors are those of settings that can't
// work; a server that does not answer says so in its state.
Result<UpstreamReport> report_upstreams(const Config& config);

}  // namespace hearth::cli
