#include "hub/adapter_name.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <optional>

#include "model/adapter.h"

namespace hearth::hub {
namespace {

std::optional<float> as_weight(std::string_view text) {
  float weight = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, weight);
  if (text.empty() || read.ec != std::errc{} || read.ptr != end) return std::nullopt;
  return weight;
}

// "NAME" or "NAME:WEIGHT"; a colon that no number follows is part of a path.
Result<AdapterWish> parse_wish(std::string_view text) {
  AdapterWish wish{.name = std::string(text)};
  const std::size_t colon = text.rfind(':');
  if (colon != text.npos) {
    if (const auto weight = as_weight(text.substr(colon + 1))) {
      wish = {std::string(text.substr(0, colon)), *weight};
    }
  }
  if (wish.name.empty()) {
    return fail(Code::kInvalidArgument, "an adapter's name is empty: write MODEL@ADAPTER");
  }
  if (std::isfinite(wish.weight) && std::abs(wish.weight) <= kAdapterWeightMax) return wish;
  return fail(Code::kInvalidArgument,
              fmt::format("the weight of adapter '{}' is {}, -{} to {} are allowed", wish.name,
                          wish.weight, kAdapterWeightMax, kAdapterWeightMax));
}

}  // namespace

Result<ModelName> parse_model_name(std::string_view text) {
  const std::size_t at = text.rfind('@');
  if (at == text.npos) return ModelName{.model = std::string(text)};
  ModelName name{.model = std::string(text.substr(0, at))};
  std::string_view list = text.substr(at + 1);
  for (;;) {
    const std::size_t plus = list.find('+');
    HEARTH_TRY(AdapterWish wish, parse_wish(list.substr(0, plus)));
    name.adapters.push_back(std::move(wish));
    if (name.adapters.size() > model::kAdaptersPerSegment) {
      return fail(Code::kInvalidArgument, fmt::format("at most {} adapters can be mixed",
                                                      model::kAdaptersPerSegment));
    }
    if (plus == list.npos) return name;
    list.remove_prefix(plus + 1);
  }
}

std::string adapter_list(std::span<const AdapterWish> adapters) {
  std::string list;
  for (const AdapterWish& wish : adapters) {
    if (!list.empty()) list += '+';
    list += wish.name;
    if (wish.weight != 1.0F) list += fmt::format(":{}", wish.weight);
  }
  return list;
}

}  // namespace hearth::hub
