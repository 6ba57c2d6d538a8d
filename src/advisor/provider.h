// A provider as the adviser's thread knows it: where it is, how it is spoken to, what it costs, and
// whether it works.
#pragma once

#include <optional>
#include <string>

#include "advisor/adviser.h"
#include "advisor/circuit.h"
#include "advisor/endpoint.h"
#include "advisor/wire/wire.h"
#include "base/result.h"

namespace hearth::advisor {

struct Provider {
  AdviserOptions options;
  const WireFormat* wire = nullptr;
  Endpoint endpoint;
  std::string url;  // Of its calls.
  std::string key;
  std::optional<Prices> prices;  // Unset: unknown.
  Circuit circuit;
  std::string last_failure;
};

// Errors as Adviser::create().
Result<Provider> open_provider(AdviserOptions options);

// What a call costs: as configured, else as the price list has it for that host; unset: unknown.
std::optional<Prices> known_prices(const std::optional<Prices>& configured, const WireFormat& wire,
                                   std::string_view host, std::string_view model);

}  // namespace hearth::advisor
