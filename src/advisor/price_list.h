// What the providers themselves ask for their models, as far as it is known: a table with the day on which
// each row was found and where.  A model that is not in it has no known price, and nothing is asked of it
// until hearth.toml names one.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "advisor/pricing.h"

namespace hearth::advisor {

struct ListPrice {
  std::string_view host;   // Whose price it is; the same model elsewhere may cost something else.
  std::string_view model;  // Also with a date behind it: "-20250929", "-2025-09-29".
  Prices prices;
  std::string_view found_on;  // "2026-10-24".
  std::string_view source;
};

std::span<const ListPrice> price_list();

// Nullopt: unknown.
std::optional<Prices> list_price(std::string_view host, std::string_view model);

}  // namespace hearth::advisor
