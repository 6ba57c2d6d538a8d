#include "hub/kernels/kernel_call.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <optional>

#include "compute/draw.h"

namespace hearth::hub {
namespace {

using compute::Contract;
using compute::ElementType;
using compute::Parameter;
using compute::TensorData;

std::unexpected<Error> wrong(std::string message) {
  return fail(Code::kInvalidArgument, std::move(message));
}

std::unexpected<Error> unknown(const Contract& contract, std::string_view name, const char* what) {
  return wrong(fmt::format("'{}' is no {} of '{}', whose signature is: {}", name.substr(0, 64),
                           what, contract.name, contract.signature.text()));
}

template <class List>
auto find_named(List& list, std::string_view name) {
  return std::ranges::find_if(list, [&](const auto& each) {
    if constexpr (requires { each.name; })
      return each.name == name;
    else
      return each.first == name;
  });
}

const Parameter* find_parameter(const Contract& contract, std::string_view name) {
  const auto& all = contract.signature.parameters;
  const auto found = std::ranges::find(all, name, &Parameter::name);
  return found == all.end() ? nullptr : &*found;
}

// Each symbol's value, said once or the same each time.
class SymbolTable {
 public:
  explicit SymbolTable(const Contract& contract)
      : contract_(contract), values_(contract.signature.symbols.size()) {}

  Result<> learn_size(std::string_view name, std::int64_t value) {
    const auto& symbols = contract_.signature.symbols;
    const auto at = std::ranges::find(symbols, name);
    if (at == symbols.end()) return unknown(contract_, name, "size");
    return set(static_cast<std::size_t>(at - symbols.begin()), value, name);
  }

  Result<> learn_tensor(const NamedTensor& given) {
    const Parameter* const parameter = find_parameter(contract_, given.name);
    if (parameter == nullptr || !parameter->is_tensor() || !parameter->is_read()) {
      return unknown(contract_, given.name, "input");
    }
    const auto& shape = given.tensor.shape;
    if (given.tensor.type != parameter->type || shape.size() != parameter->extents.size()) {
      return wrong(fmt::format("'{}' is {}, and '{}' takes: {}", given.name,
                               compute::describe(given.tensor.type, shape), contract_.name,
                               contract_.signature.text()));
    }
    for (std::size_t i = 0; i < shape.size(); ++i) {
      const int symbol = parameter->extents[i].bare_symbol();
      if (symbol < 0) continue;
      HEARTH_TRY_VOID(set(static_cast<std::size_t>(symbol), shape[i], given.name));
    }
    return {};
  }

  Result<std::vector<std::int64_t>> values() const {
    std::vector<std::int64_t> all;
    for (std::size_t i = 0; i < values_.size(); ++i) {
      if (!values_[i]) {
        return wrong(
            fmt::format("nothing says what '{}' is: give it among the sizes, or a tensor whose "
                        "shape has it; the signature is: {}",
                        contract_.signature.symbols[i], contract_.signature.text()));
      }
      all.push_back(*values_[i]);
    }
    return all;
  }

 private:
  Result<> set(std::size_t symbol, std::int64_t value, std::string_view by) {
    if (!values_[symbol]) values_[symbol] = value;
    if (*values_[symbol] == value) return {};
    return wrong(fmt::format("'{}' says that {} is {}, and it is {} already", by,
                             contract_.signature.symbols[symbol], value, *values_[symbol]));
  }

  const Contract& contract_;
  std::vector<std::optional<std::int64_t>> values_;
};

Result<std::vector<std::int64_t>> symbols_of(const Contract& contract, const KernelCall& call) {
  SymbolTable table(contract);
  for (const auto& [name, value] : call.sizes) HEARTH_TRY_VOID(table.learn_size(name, value));
  for (const NamedTensor& tensor : call.tensors) HEARTH_TRY_VOID(table.learn_tensor(tensor));
  HEARTH_TRY(std::vector<std::int64_t> symbols, table.values());
  for (const compute::Expression& precondition : contract.preconditions) {
    HEARTH_TRY(const std::int64_t holds, precondition.value(symbols));
    if (holds == 0) {
      return wrong(fmt::format("{} does not keep the contract: {}",
                               compute::symbols_text(contract.signature, symbols),
                               precondition.text()));
    }
  }
  return symbols;
}

Result<> check_memory(const Contract& contract, std::span<const std::int64_t> symbols,
                      std::uint64_t bytes_max) {
  std::uint64_t total = 0;
  for (const Parameter& parameter : contract.signature.parameters) {
    if (!parameter.is_tensor()) continue;
    HEARTH_TRY(const std::vector<std::int64_t> shape, compute::shape_of(parameter, symbols));
    std::uint64_t bytes = compute::type_info(parameter.type).bytes;
    for (const std::int64_t extent : shape) {
      if (__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(extent), &bytes))
        bytes = UINT64_MAX / 64;
    }
    total += std::min(bytes, UINT64_MAX / 64);
  }
  if (total <= bytes_max) return {};
  return fail(Code::kOutOfBudget,
              fmt::format("its tensors take {} bytes, and at most {} are given to a call: the "
                          "bridge takes more (hearth.h)",
                          total, bytes_max));
}

// Numbers in [-1, 1) that each follow from its place: as quick as writing them.
template <class T>
void fill_evenly(TensorData& tensor, std::uint64_t seed) {
  auto* const numbers = reinterpret_cast<T*>(tensor.bytes.data());
  const auto n = static_cast<std::uint64_t>(tensor.n_elements());
  for (std::uint64_t i = 0; i < n; ++i) {
    std::uint64_t z = (i + 1) * 0x9E3779B97F4A7C15U + seed;
    z = (z ^ (z >> 32)) * 0xD6E8FEB86659FD93U;
    z ^= z >> 32;
    numbers[i] = static_cast<T>(static_cast<std::int32_t>(z)) * static_cast<T>(0x1p-31);
  }
}

Result<TensorData> draw(const Contract& contract, const Parameter& parameter,
                        std::span<const std::int64_t> symbols, compute::Dice& dice) {
  const bool is_float = compute::type_info(parameter.type).is_float;
  if (!is_float || contract.range_of(parameter.name) != nullptr) {
    return compute::draw_tensor(contract, parameter, symbols, compute::Values::kEven, dice);
  }
  HEARTH_TRY(std::vector<std::int64_t> shape, compute::shape_of(parameter, symbols));
  TensorData tensor = compute::make_tensor(parameter.type, std::move(shape));
  const std::uint64_t seed = dice.next();
  if (parameter.type == ElementType::kF32)
    fill_evenly<float>(tensor, seed);
  else
    fill_evenly<double>(tensor, seed);
  return tensor;
}

Result<TensorData> tensor_of(const Contract& contract, const Parameter& parameter,
                             std::span<const std::int64_t> symbols, KernelCall& call,
                             compute::Dice& dice, std::vector<std::string>& drawn) {
  HEARTH_TRY(std::vector<std::int64_t> shape, compute::shape_of(parameter, symbols));
  if (!parameter.is_read()) return compute::make_tensor(parameter.type, std::move(shape));
  const auto given = find_named(call.tensors, parameter.name);
  if (given == call.tensors.end()) {
    drawn.push_back(parameter.name);
    call.tell(fmt::format("drawing '{}'", parameter.name));
    return draw(contract, parameter, symbols, dice);
  }
  if (given->tensor.shape == shape) return std::move(given->tensor);
  return wrong(fmt::format("'{}' is {}, and with {} it must be {}", parameter.name,
                           compute::describe(given->tensor.type, given->tensor.shape),
                           compute::symbols_text(contract.signature, symbols),
                           compute::describe(parameter.type, shape)));
}

Result<> check_reals(const Contract& contract, const KernelCall& call) {
  for (const auto& [name, value] : call.reals) {
    const Parameter* const parameter = find_parameter(contract, name);
    const bool is_real = parameter != nullptr && parameter->is_scalar &&
                         compute::type_info(parameter->type).is_float;
    if (!is_real) return unknown(contract, name, "number");
  }
  return {};
}

}  // namespace

Result<PreparedCall> prepare_call(const Contract& contract, KernelCall call,
                                  std::uint64_t bytes_max) {
  HEARTH_TRY_VOID(check_reals(contract, call));
  PreparedCall prepared;
  HEARTH_TRY(prepared.arguments.symbols, symbols_of(contract, call));
  const std::vector<std::int64_t>& symbols = prepared.arguments.symbols;
  HEARTH_TRY_VOID(check_memory(contract, symbols, bytes_max));
  compute::Dice dice(call.seed);
  for (const Parameter& parameter : contract.signature.parameters) {
    if (parameter.is_tensor()) {
      HEARTH_TRY(TensorData tensor,
                 tensor_of(contract, parameter, symbols, call, dice, prepared.drawn));
      prepared.arguments.tensors.push_back(std::move(tensor));
      prepared.arguments.strides.emplace_back();
    } else if (compute::type_info(parameter.type).is_float) {
      const auto given = find_named(call.reals, parameter.name);
      double value = given == call.reals.end() ? 0 : given->second;
      if (given == call.reals.end()) {
        prepared.drawn.push_back(parameter.name);
        HEARTH_TRY(value, compute::draw_scalar(contract, parameter, symbols, compute::Values::kEven,
                                               dice));
      }
      prepared.arguments.reals.push_back(value);
    }
  }
  return prepared;
}

}  // namespace hearth::hub
