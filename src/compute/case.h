// One set of arguments for a kernel: values that lie in this process, in memory of their own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "compute/signature.h"

namespace hearth::compute {

// A contiguous array.
struct TensorData {
  ElementType type = ElementType::kF32;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> bytes;

  std::int64_t n_elements() const { return Tensor{.type = type, .shape = shape}.n_elements(); }
  // Of any type as a double; 64-bit integers beyond 2^53 are rounded.
  double number(std::int64_t index) const;
  void set_number(std::int64_t index, double value);  // Rounded to the type.
};

TensorData make_tensor(ElementType type, std::vector<std::int64_t> shape);  // Of zeros.

struct Case {
  std::string what;                   // "primes", for messages.
  std::vector<std::int64_t> symbols;  // Values of Signature::symbols.
  std::vector<TensorData> tensors;    // One for each tensor; what is only written holds zeros.
  std::vector<std::vector<std::int64_t>> strides;  // One for each tensor; empty: contiguous.
  std::vector<double> reals;
};

// The same for an oracle: floats as f64.
Case for_oracle(const Case& of);

// "n = 31, m = 7".
std::string symbols_text(const Signature& signature, std::span<const std::int64_t> symbols);
std::string sizes_text(const Signature& signature, const Case& of);

}  // namespace hearth::compute
