// Other servers, as the configuration names them.
#pragma once

#include <vector>

#include "base/result.h"
#include "cli/config.h"
#include "hub/hub.h"
#include "hub/upstream/upstream_options.h"

namespace hearth::cli {

// kInvalidArgument as model_prices().
Result<std::vector<hub::UpstreamOptions>> upstream_options(const Config& config);

struct UpstreamReport {
  std::vector<hub::ModelEntry> models;
  std::vector<hub::UpstreamState> states;
};

// Asks those of this machine for their models, within seconds.  Errors are those of settings that can't
// work; a server that does not answer says so in its state.
Result<UpstreamReport> report_upstreams(const Config& config);

}  // namespace hearth::cli
