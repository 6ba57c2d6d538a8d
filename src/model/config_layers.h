// What sets the layers of a model apart: internal to config*.cpp.
#pragma once

#include "base/result.h"
#include "model/architecture_table.h"
#include "model/config_reader.h"
#include "model/model.h"

namespace hearth::model {

// Fills in config.layers but for their rotary tables: of which kind each is, how far back it looks,
// its heads and its feed-forward block, and where it keeps its keys and values.  Needs n_layers,
// n_heads and d_model.
Result<> read_layers(const ConfigReader& reader, const Architecture& architecture,
                     ModelConfig& config);

}  // namespace hearth::model
