// Arguments against a signature: each symbol gets one value, every shape is held against it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <climits>
#include <cstdlib>

#include "compute/signature.h"

namespace hearth::compute {
namespace {

std::unexpected<Error> wrong(std::string message) {
  return fail(Code::kInvalidArgument, std::move(message));
}

std::string expected_text(const Parameter& parameter) {
  std::vector<std::string> extents;
  for (const Expression& extent : parameter.extents) extents.push_back(extent.text());
  const std::string_view type = type_info(parameter.type).name;
  return parameter.is_scalar ? std::string(type)
                             : fmt::format("{}[{}]", type, fmt::join(extents, ", "));
}

std::string found_text(const Argument& argument) {
  if (const auto* const tensor = std::get_if<Tensor>(&argument))
    return describe(tensor->type, tensor->shape);
  if (const auto* const integer = std::get_if<std::int64_t>(&argument))
    return fmt::format("the integer {}", *integer);
  return fmt::format("the number {}", std::get<double>(argument));
}

// "n = 3, m = 5", of the symbols that the parameter's extents use.
std::string values_text(const Signature& signature, const Parameter& parameter,
                        std::span<const std::int64_t> values) {
  std::vector<std::string> parts;
  for (const Expression& extent : parameter.extents) {
    for (const std::size_t symbol : extent.symbols_used()) {
      std::string part = fmt::format("{} = {}", signature.symbols[symbol], values[symbol]);
      if (std::ranges::find(parts, part) == parts.end()) parts.push_back(std::move(part));
    }
  }
  return parts.empty() ? "" : fmt::format(" with {}", fmt::join(parts, ", "));
}

std::unexpected<Error> mismatch(const Parameter& parameter, const Argument& argument,
                                std::string_view with = "") {
  return wrong(fmt::format("argument '{}': {}{} expected, {} found", parameter.name,
                           expected_text(parameter), with, found_text(argument)));
}

// Kind, type and rank; for an integer, its range.
Result<> check_kind(const Parameter& parameter, const Argument& argument) {
  if (parameter.is_tensor()) {
    const auto* const tensor = std::get_if<Tensor>(&argument);
    if (tensor == nullptr || tensor->type != parameter.type ||
        tensor->shape.size() != parameter.extents.size())
      return mismatch(parameter, argument);
    if (!tensor->strides.empty() && tensor->strides.size() != tensor->shape.size()) {
      return wrong(fmt::format("argument '{}': {} strides are given for {} extents", parameter.name,
                               tensor->strides.size(), tensor->shape.size()));
    }
    return {};
  }
  if (type_info(parameter.type).is_float) {
    return std::holds_alternative<double>(argument) ? Result<>() : mismatch(parameter, argument);
  }
  const auto* const integer = std::get_if<std::int64_t>(&argument);
  const bool fits = integer != nullptr && (parameter.type == ElementType::kI64 ||
                                           (*integer >= INT32_MIN && *integer <= INT32_MAX));
  return fits ? Result<>() : mismatch(parameter, argument);
}

// Gives symbols their values, once each.
class Solver {
 public:
  explicit Solver(const Signature& signature)
      : signature_(signature),
        values_(signature.symbols.size(), 0),
        source_(signature.symbols.size(), nullptr) {}

  Result<> learn(const Parameter& parameter, const Argument& argument) {
    HEARTH_TRY_VOID(check_kind(parameter, argument));
    if (const auto* const integer = std::get_if<std::int64_t>(&argument)) {
      const auto at =
          std::ranges::find(signature_.symbols, parameter.name) - signature_.symbols.begin();
      set(static_cast<std::size_t>(at), *integer, parameter);
      return {};
    }
    const auto* const tensor = std::get_if<Tensor>(&argument);
    for (std::size_t i = 0; tensor != nullptr && i < tensor->shape.size(); ++i) {
      if (tensor->shape[i] < 0)
        return wrong(
            fmt::format("argument '{}': an extent is {}", parameter.name, tensor->shape[i]));
      const int symbol = parameter.extents[i].bare_symbol();
      // What a scalar says is checked later, in a sentence about the tensor.
      if (symbol < 0 || source_[static_cast<std::size_t>(symbol)] != nullptr) continue;
      set(static_cast<std::size_t>(symbol), tensor->shape[i], parameter);
    }
    return {};
  }

  Result<std::vector<std::int64_t>> values() const {
    for (std::size_t i = 0; i < values_.size(); ++i) {
      if (source_[i] == nullptr)
        return wrong(
            fmt::format("nothing among the arguments says what '{}' is: give it, or a tensor whose "
                        "shape has it",
                        signature_.symbols[i]));
    }
    return values_;
  }

 private:
  void set(std::size_t symbol, std::int64_t value, const Parameter& parameter) {
    values_[symbol] = value;
    source_[symbol] = &parameter;
  }

  const Signature& signature_;
  std::vector<std::int64_t> values_;
  std::vector<const Parameter*> source_;  // Who said it; null: nobody yet.
};

// Scalars first: they name their symbol, and shapes are held against them.
Result<std::vector<std::int64_t>> solve(const Signature& signature,
                                        std::span<const std::optional<Argument>> known) {
  Solver solver(signature);
  for (const bool scalars : {true, false}) {
    for (std::size_t i = 0; i < known.size(); ++i) {
      const Parameter& parameter = signature.parameters[i];
      if (known[i] && parameter.is_scalar == scalars)
        HEARTH_TRY_VOID(solver.learn(parameter, *known[i]));
    }
  }
  return solver.values();
}

bool are_contiguous(std::span<const std::int64_t> shape, std::span<const std::int64_t> strides) {
  const std::vector<std::int64_t> expected = contiguous_strides(shape);
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] > 1 && strides[i] != expected[i]) return false;
  }
  return true;
}

// Whether no two indices name the same element: sorted by stride, each steps over all that come
// before.
bool touches_each_once(const Tensor& tensor) {
  std::vector<std::pair<std::int64_t, std::int64_t>> dims;
  for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
    if (tensor.shape[i] > 1) dims.emplace_back(std::abs(tensor.strides[i]), tensor.shape[i]);
  }
  std::ranges::sort(dims);
  std::int64_t reach = 0;
  for (const auto& [stride, extent] : dims) {
    if (stride <= reach) return false;
    reach += stride * (extent - 1);
  }
  return true;
}

Result<Tensor> check_tensor(const Signature& signature, const Parameter& parameter, Tensor tensor,
                            std::span<const std::int64_t> symbols) {
  HEARTH_TRY(const std::vector<std::int64_t> shape, shape_of(parameter, symbols));
  if (shape != tensor.shape)
    return mismatch(parameter, tensor, values_text(signature, parameter, symbols));
  if (tensor.strides.empty()) tensor.strides = contiguous_strides(shape);
  if (tensor.n_elements() == 0) return tensor;
  if (!parameter.is_strided && !are_contiguous(shape, tensor.strides)) {
    return wrong(
        fmt::format("argument '{}': strides [{}] found, [{}] expected, since the signature does "
                    "not say 'strided' for it",
                    parameter.name, fmt::join(tensor.strides, ", "),
                    fmt::join(contiguous_strides(shape), ", ")));
  }
  for (std::size_t i = 0; i < shape.size(); ++i) {
    std::int64_t span = 0;
    const bool is_over = tensor.strides[i] == INT64_MIN ||
                         __builtin_mul_overflow(shape[i], std::abs(tensor.strides[i]), &span) ||
                         span > kTensorBytesMax;
    if (is_over)
      return wrong(fmt::format("argument '{}': the stride {} reaches too far", parameter.name,
                               tensor.strides[i]));
  }
  if (parameter.is_written() && !touches_each_once(tensor))
    return wrong(
        fmt::format("argument '{}' is written, but its strides [{}] name some elements twice",
                    parameter.name, fmt::join(tensor.strides, ", ")));
  return tensor;
}

bool overlap(const Tensor& a, const Tensor& b) {
  const Reach ra = reach_of(a), rb = reach_of(b);
  if (ra.after == 0 || rb.after == 0) return false;
  return a.data - ra.before < b.data + rb.after && b.data - rb.before < a.data + ra.after;
}

}  // namespace

Result<std::vector<std::int64_t>> solve_symbols(const Signature& signature,
                                                std::span<const std::optional<Argument>> known) {
  if (known.size() != signature.parameters.size()) {
    return wrong(fmt::format("{} arguments are given, the kernel takes {}: {}", known.size(),
                             signature.parameters.size(), signature.text()));
  }
  return solve(signature, known);
}

Result<Bindings> bind_shapes(const Signature& signature, std::span<const Argument> arguments) {
  const std::vector<std::optional<Argument>> known(arguments.begin(), arguments.end());
  Bindings bindings;
  HEARTH_TRY(bindings.integers, solve_symbols(signature, known));
  bindings.n_symbols = bindings.integers.size();
  const std::vector<std::int64_t> symbols = bindings.integers;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const Parameter& parameter = signature.parameters[i];
    if (const auto* const real = std::get_if<double>(&arguments[i]))
      bindings.reals.push_back(*real);
    if (!parameter.is_tensor()) continue;
    HEARTH_TRY(Tensor tensor,
               check_tensor(signature, parameter, std::get<Tensor>(arguments[i]), symbols));
    if (parameter.is_strided)
      bindings.integers.insert(bindings.integers.end(), tensor.strides.begin(),
                               tensor.strides.end());
    bindings.tensors.push_back(std::move(tensor));
  }
  return bindings;
}

Result<Bindings> bind_arguments(const Signature& signature, std::span<const Argument> arguments) {
  HEARTH_TRY(Bindings bindings, bind_shapes(signature, arguments));
  std::vector<const Parameter*> tensors;
  for (const Parameter& parameter : signature.parameters) {
    if (parameter.is_tensor()) tensors.push_back(&parameter);
  }
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& tensor = bindings.tensors[i];
    if (tensor.n_elements() == 0) continue;
    if (tensor.data == nullptr)
      return wrong(fmt::format("argument '{}' has no memory", tensors[i]->name));
    const std::size_t bytes = type_info(tensor.type).bytes;
    if (reinterpret_cast<std::uintptr_t>(tensor.data) % bytes != 0) {
      return wrong(fmt::format("argument '{}' lies at an address that is no multiple of {} bytes",
                               tensors[i]->name, bytes));
    }
    for (std::size_t j = 0; j < i; ++j) {
      const bool is_written = tensors[i]->is_written() || tensors[j]->is_written();
      if (is_written && overlap(tensor, bindings.tensors[j])) {
        return wrong(
            fmt::format("arguments '{}' and '{}' overlap in memory, and one of them is written",
                        tensors[j]->name, tensors[i]->name));
      }
    }
  }
  return bindings;
}

}  // namespace hearth::compute
