// Which model calls itself by given words: the tags of GGUF files (`general.tags`) and of adapters.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "store/catalogue.h"

namespace hearth::hub {

// The name of the model, or MODEL@ADAPTER, that shares most of `tags`; empty if none shares any.  Of
// equals, what comes first in `candidates`, and models before their adapters.
std::string find_tagged(std::span<const store::CatalogueEntry> candidates,
                        std::span<const store::CatalogueEntry> adapters,
                        const std::vector<std::string>& tags);

}  // namespace hearth::hub
