#include "compute/mutate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace hearth::compute {
namespace {

constexpr int kHalfBits = 11;    // Of a half's significand,
constexpr int kSingleBits = 24;  // and of a single's.

// `value` with so many bits of significand.
double rounded(double value, int bits) {
  if (!std::isfinite(value) || value == 0) return value;
  const int exponent = std::ilogb(value) + 1 - bits;
  return std::ldexp(std::nearbyint(std::ldexp(value, -exponent)), exponent);
}

void shift(TensorData& tensor) {
  const std::size_t bytes = type_info(tensor.type).bytes;
  if (tensor.bytes.size() > bytes)
    std::ranges::rotate(tensor.bytes, tensor.bytes.end() - static_cast<std::ptrdiff_t>(bytes));
}

bool have_equal_extents(const Parameter& a, const Parameter& b) {
  return std::ranges::equal(a.extents, b.extents, {}, &Expression::text, &Expression::text);
}

}  // namespace

std::vector<Mutation> mutations_of(const Signature& signature) {
  std::vector<Mutation> all = {
      {.kind = Mutation::Kind::kZeros, .what = "writes zeros"},
      {.kind = Mutation::Kind::kShifted, .what = "writes each element one place too far"}};
  bool has_floats = false;
  std::vector<const Parameter*> tensors;
  for (const Parameter& parameter : signature.parameters) {
    if (parameter.is_tensor()) tensors.push_back(&parameter);
    has_floats |= parameter.is_written() && type_info(parameter.type).is_float;
  }
  if (has_floats)
    all.push_back(
        {.kind = Mutation::Kind::kLowPrecision, .what = "computes in half of the precision"});
  for (std::size_t i = 0; i < signature.symbols.size(); ++i) {
    all.push_back({.kind = Mutation::Kind::kOneLess,
                   .first = i,
                   .what = fmt::format("takes {} for one less than it is", signature.symbols[i])});
  }
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    for (std::size_t j = i + 1; j < tensors.size(); ++j) {
      const bool are_alike =
          tensors[i]->direction == Direction::kIn && tensors[j]->direction == Direction::kIn &&
          tensors[i]->type == tensors[j]->type && have_equal_extents(*tensors[i], *tensors[j]) &&
          !tensors[i]->is_strided && !tensors[j]->is_strided;
      if (are_alike)
        all.push_back(
            {.kind = Mutation::Kind::kSwapped,
             .first = i,
             .second = j,
             .what = fmt::format("takes '{}' for '{}'", tensors[i]->name, tensors[j]->name)});
    }
  }
  return all;
}

bool mutate_setup(const Mutation& mutation, const Case& of, RunSetup& setup) {
  if (mutation.kind == Mutation::Kind::kOneLess) {
    if (of.symbols[mutation.first] < 1) return false;
    setup.symbols = of.symbols;
    --(*setup.symbols)[mutation.first];
  }
  if (mutation.kind == Mutation::Kind::kSwapped) {
    setup.order.resize(of.tensors.size());
    std::iota(setup.order.begin(), setup.order.end(), std::size_t{0});
    std::swap(setup.order[mutation.first], setup.order[mutation.second]);
  }
  return true;
}

void mutate_results(const Mutation& mutation, std::vector<TensorData>& results) {
  for (TensorData& tensor : results) {
    if (mutation.kind == Mutation::Kind::kZeros) std::ranges::fill(tensor.bytes, std::byte{0});
    if (mutation.kind == Mutation::Kind::kShifted) shift(tensor);
    if (mutation.kind != Mutation::Kind::kLowPrecision || !type_info(tensor.type).is_float)
      continue;
    const int bits = tensor.type == ElementType::kF32 ? kHalfBits : kSingleBits;
    for (std::int64_t i = 0; i < tensor.n_elements(); ++i)
      tensor.set_number(i, rounded(tensor.number(i), bits));
  }
}

}  // namespace hearth::compute
