#include "advisor/provider.h"

#include <fmt/format.h>

#include <utility>

#include "advisor/api_key.h"
#include "advisor/price_list.h"

namespace hearth::advisor {
namespace {

Result<> check(const AdviserOptions& options) {
  if (options.model.empty()) {
    return fail(Code::kInvalidArgument, "advisor.model is empty; name the model to ask");
  }
  if (options.provider.empty()) {
    return fail(Code::kInvalidArgument, "advisor.provider is empty; give the provider a name");
  }
  if (options.max_output_tokens == 0 || options.attempts_max == 0) {
    return fail(Code::kInvalidArgument, "the adviser's limits of tokens and attempts must not be 0");
  }
  return {};
}

}  // namespace

std::optional<Prices> known_prices(const std::optional<Prices>& configured, const WireFormat& wire,
                                   std::string_view host, std::string_view model) {
  std::optional<Prices> prices = configured ? configured : list_price(host, model);
  if (prices && prices->cache_write_usd_micro_per_mtok < 0) {
    prices->cache_write_usd_micro_per_mtok = (prices->in_usd_micro_per_mtok * wire.write_percent + 99) / 100;
  }
  return prices;
}

Result<Provider> open_provider(AdviserOptions options) {
  Provider provider;
  const WireFormat* const named = find_wire(options.wire);
  if (options.base_url.empty() && named != nullptr) options.base_url = named->home;
  HEARTH_TRY(provider.endpoint, parse_endpoint(options.base_url));
  provider.wire = wire_of(options.wire, provider.endpoint.host);
  if (provider.wire == nullptr) {
    return fail(Code::kInvalidArgument,
                fmt::format("the wire '{}' of adviser '{}' is none of: {}", options.wire, options.provider, wire_names()));
  }
  HEARTH_TRY(provider.key, read_api_key(options.key_env, options.key_file));
  HEARTH_TRY_VOID(check(options));
  provider.url = provider.wire->url(provider.endpoint.base, options.model);
  provider.prices = known_prices(options.prices, *provider.wire, provider.endpoint.host, options.model);
  provider.options = std::move(options);
  return provider;
}

}  // namespace hearth::advisor
