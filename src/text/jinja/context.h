// The variables that a render gets, from JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace hearth::text::jinja {

// Borrows the texts of `json`, which must outlive the render.  kInvalidArgument where it nests
// deeper than kNestingMax.
Result<Value> from_json(Runtime& runtime, const nlohmann::ordered_json& json);

}  // namespace hearth::text::jinja
