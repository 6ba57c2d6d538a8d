// Recipes: which tensor of a model becomes which type.
//
// "Q4_K_M" is not one type.  Some tensors suffer more from few bits than others (values, the
// second matrix of the feed-forward in the first and last layers, the output), and a recipe spends
// more bits on them.  The names and rules are those of the GGUF ecosystem, so that a file is what
// its name promises wherever it is read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "convert/model_source.h"
#include "tensor/dtype.h"

namespace hearth::convert {

struct Recipe;

// nullptr for a name that is none ("Q4_K_M"; case does not matter).
const Recipe* find_recipe(std::string_view name);

// kInvalidArgument for such a name, with all that there are.
Result<const Recipe*> need_recipe(std::string_view name);

std::string_view recipe_name(const Recipe& recipe);
std::uint32_t recipe_file_type(const Recipe& recipe);  // GGUF `general.file_type`.

// What a tensor becomes.
struct Choice {
  tensor::DType type;
  tensor::DType wanted;  // Differs from `type` where the rows don't divide into its blocks.
};

// `tied`: the model has no output matrix of its own, so its embedding is that too.
Choice choose_type(const Recipe& recipe, const SourceTensor& tensor, std::uint32_t n_layers,
                   bool tied);

}  // namespace hearth::convert
