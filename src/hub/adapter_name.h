// How a request names adapters:
//
//   NAME                       the model by itself
//   NAME@ADAPTER               with an adapter
//   NAME@A+B                   with the sum of two
//   NAME@A:0.5+B:-0.25         each with a weight; without one it is 1
//
// NAME may be anything that names a model, "auto" and "local" among it; what follows the last '@'
// is the list.  An adapter is named as `hearth models list` names it (such names hold none of '@',
// '+' and ':'), or by the path of its file or folder.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::hub {

inline constexpr float kAdapterWeightMax = 16.0F;  // And its negative.

struct AdapterWish {
  std::string name;
  float weight = 1.0F;
};

struct ModelName {
  std::string model;
  std::vector<AdapterWish> adapters;
};

// kInvalidArgument for a list that is empty, too long, or has a weight beyond the limit.
Result<ModelName> parse_model_name(std::string_view text);

// "A:0.5+B": as it would be written behind '@'.
std::string adapter_list(std::span<const AdapterWish> adapters);

}  // namespace hearth::hub
