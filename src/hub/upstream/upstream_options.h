// Other servers that answer requests: what the configuration says of one.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "advisor/pricing.h"
#include "ledger/ledger.h"
#include "net/http_client.h"

namespace hearth::hub {

struct UpstreamOptions {
  std::string name;  // Requests say NAME/MODEL.
  std::string url;   // "http://127.0.0.1:11434/v1"; without a path the wire's is meant; empty: the wire's home.
  std::string wire;  // As advisor/wire/wire.h names it; empty: by the host.
  std::string key_env, key_file;  // As AdviserOptions'.
  // Whether its address counts as this machine; unset: if it is a loopback address.  A model that
  // the server itself has elsewhere counts as egress in any case.
  std::optional<bool> is_local;
  // Models to list.  A server that counts as egress is contacted for requests alone, never asked
  // what it has.
  std::vector<std::string> models;
  std::optional<advisor::Prices> prices;  // Of all its models; unset: as advisor/price_list.h has them.
  std::vector<std::pair<std::string, advisor::Prices>> model_prices;  // By model; they go first.
  ledger::BudgetLimits budget;
  std::uint32_t max_output_tokens = 4'096;  // Paid for where a request sets no limit.
  std::uint32_t attempts_max = 3;
  std::uint64_t response_bytes_max = std::uint64_t{256} << 20;
  net::HttpTimeouts timeouts{.connect = std::chrono::milliseconds(5'000),
                             .first_byte = std::chrono::milliseconds(300'000),
                             .idle = std::chrono::milliseconds(120'000),
                             .total = std::chrono::milliseconds(3'600'000)};
};

inline constexpr std::size_t kUpstreamsMax = 32;
inline constexpr std::size_t kUpstreamNameBytesMax = 64;

// Letters, digits, '.', '_' and '-', at most kUpstreamNameBytesMax, none of the names that requests use
// otherwise.
bool is_upstream_name(const std::string& name);

}  // namespace hearth::hub
