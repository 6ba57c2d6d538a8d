#include "cli/upstreams.h"

#include <chrono>
#include <utility>

#include "cli/advisers.h"
#include "hub/upstream/upstream_directory.h"
#include "net/http_client.h"

namespace hearth::cli {
Result<std::vector<hub::UpstreamOptions>> upstream_options(const Config& config) {
  std::vector<hub::UpstreamOptions> all;
  for (const Config::Upstream& upstream : config.upstreams) {
    hub::UpstreamOptions& options = all.emplace_back();
    options.name = upstream.name;
    options.url = upstream.url;
    options.wire = upstream.wire;
    options.key_env = upstream.key_env;
    options.key_file = upstream.key_file;
    options.is_local = upstream.local;
    options.models = upstream.models;
    HEARTH_TRY(options.model_prices, model_prices(config, upstream.name));
    options.prices = prices_of(upstream.price_in_usd_per_mtok, upstream.price_out_usd_per_mtok);
    options.budget = budget_of(config.budget);
    options.max_output_tokens = static_cast<std::uint32_t>(upstream.max_output_tokens);
    options.attempts_max = static_cast<std::uint32_t>(upstream.attempts);
    options.timeouts.connect = std::chrono::seconds(upstream.connect_timeout_s);
    options.timeouts.first_byte = std::chrono::seconds(upstream.first_byte_timeout_s);
    options.timeouts.idle = std::chrono::seconds(upstream.idle_timeout_s);
  }
  return all;
}

Result<UpstreamReport> report_upstreams(const Config& config) {
  if (config.upstreams.empty()) return UpstreamReport{};
  HEARTH_TRY(auto options, upstream_options(config));
  HEARTH_TRY(const auto client, net::HttpClient::create());
  HEARTH_TRY(const auto directory, hub::UpstreamDirectory::create(std::move(options), *client));
  UpstreamReport report;
  report.models = directory->models();
  report.states = directory->states();
  return report;
}

}  // namespace hearth::cli
