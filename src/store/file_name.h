// Names of models that are cut into files.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace hearth::store {

// The place of a file in a split model, from a name like "model-00002-of-00005".
struct SplitPart {
  std::string stem;   // "model"
  std::string count;  // "00005"
};

// nullopt for any other name.
std::optional<SplitPart> split_part(std::string_view stem);

}  // namespace hearth::store
