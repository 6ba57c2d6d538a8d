// The rows of the method table of text (methods_text.cpp).
#pragma once

#include <span>

#include "text/jinja/runtime.h"

namespace hearth::text::jinja {

std::span<const FunctionSpec> text_methods();
std::span<const FreeFunctionSpec> free_text_methods();

}  // namespace hearth::text::jinja
