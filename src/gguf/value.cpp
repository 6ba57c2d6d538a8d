#include "gguf/value.h"

#include <array>
#include <limits>

namespace hearth::gguf {
namespace {

struct TypeRow {
  std::string_view name;
  std::uint8_t bytes;
};

// Indexed by the format's numbers.
constexpr std::array<TypeRow, 13> kTypes{{{"u8", 1},
                                          {"i8", 1},
                                          {"u16", 2},
                                          {"i16", 2},
                                          {"u32", 4},
                                          {"i32", 4},
                                          {"f32", 4},
                                          {"bool", 1},
                                          {"string", 0},
                                          {"array", 0},
                                          {"u64", 8},
                                          {"i64", 8},
                                          {"f64", 8}}};

template <class T>
T load(std::span<const std::byte> at) {
  T value;
  std::memcpy(&value, at.data(), sizeof value);
  return value;
}

}  // namespace

std::string_view value_type_name(ValueType type) {
  const auto number = static_cast<std::size_t>(type);
  return number < kTypes.size() ? kTypes[number].name : "unknown";
}

std::size_t scalar_bytes(ValueType type) {
  const auto number = static_cast<std::size_t>(type);
  return number < kTypes.size() ? kTypes[number].bytes : 0;
}

std::optional<std::int64_t> Value::number_i64(ValueType type, std::span<const std::byte> at) {
  switch (type) {
    case ValueType::kU8:
      return load<std::uint8_t>(at);
    case ValueType::kI8:
      return load<std::int8_t>(at);
    case ValueType::kU16:
      return load<std::uint16_t>(at);
    case ValueType::kI16:
      return load<std::int16_t>(at);
    case ValueType::kU32:
      return load<std::uint32_t>(at);
    case ValueType::kI32:
      return load<std::int32_t>(at);
    case ValueType::kI64:
      return load<std::int64_t>(at);
    case ValueType::kU64: {
      const auto value = load<std::uint64_t>(at);
      if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return {};
      return static_cast<std::int64_t>(value);
    }
    default:
      return {};
  }
}

std::optional<std::uint64_t> Value::number_u64(ValueType type, std::span<const std::byte> at) {
  if (type == ValueType::kU64) return load<std::uint64_t>(at);
  const auto value = number_i64(type, at);
  if (!value || *value < 0) return {};
  return static_cast<std::uint64_t>(*value);
}

std::optional<double> Value::number_f64(ValueType type, std::span<const std::byte> at) {
  if (type == ValueType::kF32) return static_cast<double>(load<float>(at));
  if (type == ValueType::kF64) return load<double>(at);
  if (const auto value = number_i64(type, at)) return static_cast<double>(*value);
  return {};
}

std::optional<bool> Value::as_bool() const {
  if (type_ != ValueType::kBool) return {};
  return load<std::uint8_t>(bytes_) != 0;
}

std::optional<std::string_view> Value::as_string() const {
  if (type_ != ValueType::kString) return {};
  return std::string_view(reinterpret_cast<const char*>(bytes_.data()), bytes_.size());
}

std::optional<StringRange> Value::as_strings() const {
  if (!is_array() || element_type_ != ValueType::kString) return {};
  return StringRange(bytes_, count_);
}

std::span<const std::byte> Value::element(std::size_t i) const {
  const std::size_t size = scalar_bytes(element_type_);
  return bytes_.subspan(i * size, size);
}

std::optional<std::uint64_t> Value::u64_at(std::size_t i) const {
  return is_array() && i < count_ ? number_u64(element_type_, element(i)) : std::nullopt;
}

std::optional<std::int64_t> Value::i64_at(std::size_t i) const {
  return is_array() && i < count_ ? number_i64(element_type_, element(i)) : std::nullopt;
}

std::optional<double> Value::f64_at(std::size_t i) const {
  return is_array() && i < count_ ? number_f64(element_type_, element(i)) : std::nullopt;
}

std::optional<std::span<const float>> Value::as_f32_span() const {
  if (!is_array() || element_type_ != ValueType::kF32) return {};
  if (reinterpret_cast<std::uintptr_t>(bytes_.data()) % alignof(float) != 0) return {};
  return std::span(reinterpret_cast<const float*>(bytes_.data()), count_);
}

}  // namespace hearth::gguf
