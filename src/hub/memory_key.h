// What a run's advice depends on, for advice that is remembered.
#pragma once

#include <optional>

#include "advisor/memory/advice_key.h"
#include "hub/run.h"

namespace hearth::hub {

// The class and the adviser are left for who knows them.  Nothing: its advice is not to be remembered.
std::optional<advisor::AdviceKey> memory_key(const Run& run);

}  // namespace hearth::hub
