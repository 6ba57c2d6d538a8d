#include "compute/case.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace hearth::compute {
namespace {

template <class T>
T read_as(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

template <class T>
void write_as(std::byte* to, double number) {
  const T value = static_cast<T>(number);
  std::memcpy(to, &value, sizeof(T));
}

}  // namespace

TensorData make_tensor(ElementType type, std::vector<std::int64_t> shape) {
  TensorData tensor{.type = type, .shape = std::move(shape), .bytes = {}};
  tensor.bytes.resize(static_cast<std::size_t>(tensor.n_elements()) * type_info(type).bytes);
  return tensor;
}

double TensorData::number(std::int64_t index) const {
  const std::byte* const from =
      bytes.data() + static_cast<std::size_t>(index) * type_info(type).bytes;
  switch (type) {
    case ElementType::kF32:
      return static_cast<double>(read_as<float>(from));
    case ElementType::kF64:
      return read_as<double>(from);
    case ElementType::kI8:
      return read_as<std::int8_t>(from);
    case ElementType::kI16:
      return read_as<std::int16_t>(from);
    case ElementType::kI32:
      return read_as<std::int32_t>(from);
    case ElementType::kI64:
      return static_cast<double>(read_as<std::int64_t>(from));
    case ElementType::kU8:
      return read_as<std::uint8_t>(from);
    case ElementType::kU16:
      return read_as<std::uint16_t>(from);
    case ElementType::kU32:
      return read_as<std::uint32_t>(from);
    case ElementType::kU64:
      return static_cast<double>(read_as<std::uint64_t>(from));
  }
  return 0;
}

void TensorData::set_number(std::int64_t index, double value) {
  std::byte* const to = bytes.data() + static_cast<std::size_t>(index) * type_info(type).bytes;
  switch (type) {
    case ElementType::kF32:
      return write_as<float>(to, value);
    case ElementType::kF64:
      return write_as<double>(to, value);
    case ElementType::kI8:
      return write_as<std::int8_t>(to, value);
    case ElementType::kI16:
      return write_as<std::int16_t>(to, value);
    case ElementType::kI32:
      return write_as<std::int32_t>(to, value);
    case ElementType::kI64:
      return write_as<std::int64_t>(to, value);
    case ElementType::kU8:
      return write_as<std::uint8_t>(to, value);
    case ElementType::kU16:
      return write_as<std::uint16_t>(to, value);
    case ElementType::kU32:
      return write_as<std::uint32_t>(to, value);
    case ElementType::kU64:
      return write_as<std::uint64_t>(to, value);
  }
}

Case for_oracle(const Case& of) {
  Case out = of;
  for (TensorData& tensor : out.tensors) {
    if (tensor.type != ElementType::kF32) continue;
    TensorData wide = make_tensor(ElementType::kF64, tensor.shape);
    for (std::int64_t i = 0; i < tensor.n_elements(); ++i) wide.set_number(i, tensor.number(i));
    tensor = std::move(wide);
  }
  return out;
}

std::string symbols_text(const Signature& signature, std::span<const std::int64_t> symbols) {
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < symbols.size(); ++i) {
    parts.push_back(fmt::format("{} = {}", signature.symbols[i], symbols[i]));
  }
  return parts.empty() ? "the only size" : fmt::format("{}", fmt::join(parts, ", "));
}

std::string sizes_text(const Signature& signature, const Case& of) {
  return symbols_text(signature, of.symbols);
}

}  // namespace hearth::compute
