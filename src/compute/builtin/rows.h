// The families of built-ins: each file of rows gives its part of the table.
#pragma once

#include <span>

#include "compute/builtin/builtin.h"

namespace hearth::compute {

std::span<const Builtin> elementwise_rows();
std::span<const Builtin> reduce_rows();
std::span<const Builtin> linear_rows();
std::span<const Builtin> stencil_rows();
std::span<const Builtin> library_rows();

// The address of tensor i, which its signature says to be of T.
template <class T>
T* data_of(const Bindings& arguments, std::size_t i) {
  return reinterpret_cast<T*>(arguments.tensors[i].data);
}

}  // namespace hearth::compute
