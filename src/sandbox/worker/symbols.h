// The functions of the C library that a kernel may call: a fixed table, and all that it can link
// against.
#pragma once

#include <cstdint>

namespace hearth::sandbox {

// Address of the function `name`, or 0 if kernels don't have it.
std::uintptr_t find_symbol(const char* name);

}  // namespace hearth::sandbox
