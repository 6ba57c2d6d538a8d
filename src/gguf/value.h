// Metadata values of a GGUF file, as views of the file's bytes.
//
// A value is a type and the bytes of its payload; nothing is copied or converted until
// it is asked for.  Files disagree about integer widths (a count may be u32, i32 or
// u64), so the getters accept any integer type whose value fits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <optional>
#include <span>
#include <string_view>

namespace hearth::gguf {

// The numbers are the file format's.
enum class ValueType : std::uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

// "u32", "string", ...; "unknown" for a number that names no type.
std::string_view value_type_name(ValueType type);

// Bytes of one scalar; 0 for strings, arrays and unknown types.
std::size_t scalar_bytes(ValueType type);

// The strings of an array, in order: each is a u64 length and that many bytes.  Forward only,
// since there is no index; the parser has checked every length.
class StringRange {
 public:
  class Iterator {
   public:
    using value_type = std::string_view;
    using difference_type = std::ptrdiff_t;
    using iterator_category = std::forward_iterator_tag;
    using pointer = const std::string_view*;
    using reference = std::string_view;

    Iterator() = default;
    explicit Iterator(const std::byte* at) : at_(at) {}
    std::string_view operator*() const {
      return {reinterpret_cast<const char*>(at_) + sizeof(std::uint64_t), length()};
    }
    Iterator& operator++() {
      at_ += sizeof(std::uint64_t) + length();
      return *this;
    }
    Iterator operator++(int) {
      const Iterator old = *this;
      ++*this;
      return old;
    }
    bool operator==(const Iterator&) const = default;

   private:
    std::size_t length() const {
      std::uint64_t n;
      std::memcpy(&n, at_, sizeof n);
      return static_cast<std::size_t>(n);
    }
    const std::byte* at_ = nullptr;
  };

  StringRange() = default;
  StringRange(std::span<const std::byte> bytes, std::size_t count) : bytes_(bytes), count_(count) {}
  Iterator begin() const { return Iterator(bytes_.data()); }
  Iterator end() const { return Iterator(bytes_.data() + bytes_.size()); }
  std::size_t size() const { return count_; }

 private:
  std::span<const std::byte> bytes_;
  std::size_t count_ = 0;
};

// Borrows the file's bytes: valid while the file is mapped.
//
// Threading: immutable.
class Value {
 public:
  Value() = default;
  Value(ValueType type, std::span<const std::byte> bytes) : type_(type), bytes_(bytes) {}
  Value(ValueType element_type, std::size_t count, std::span<const std::byte> bytes)
      : type_(ValueType::kArray), element_type_(element_type), count_(count), bytes_(bytes) {}

  ValueType type() const { return type_; }
  bool is_array() const { return type_ == ValueType::kArray; }
  // Of an array; otherwise kU8 and 0.
  ValueType element_type() const { return element_type_; }
  std::size_t count() const { return count_; }

  // The bytes as they lie in the file, without type, count or a string's own length.
  std::span<const std::byte> payload() const { return bytes_; }

  // Each is absent where the type or the range does not fit.
  std::optional<std::uint64_t> as_u64() const { return number_u64(type_, bytes_); }
  std::optional<std::int64_t> as_i64() const { return number_i64(type_, bytes_); }
  std::optional<double> as_f64() const { return number_f64(type_, bytes_); }
  std::optional<bool> as_bool() const;
  std::optional<std::string_view> as_string() const;
  // Absent for what is no array of strings.
  std::optional<StringRange> as_strings() const;

  // Element `i` < count() of an array of numbers; absent where type or range does not fit.
  std::optional<std::uint64_t> u64_at(std::size_t i) const;
  std::optional<std::int64_t> i64_at(std::size_t i) const;
  std::optional<double> f64_at(std::size_t i) const;
  // The elements in place, if they are f32 and aligned to it.
  std::optional<std::span<const float>> as_f32_span() const;

 private:
  static std::optional<std::uint64_t> number_u64(ValueType type, std::span<const std::byte> at);
  static std::optional<std::int64_t> number_i64(ValueType type, std::span<const std::byte> at);
  static std::optional<double> number_f64(ValueType type, std::span<const std::byte> at);
  std::span<const std::byte> element(std::size_t i) const;

  ValueType type_ = ValueType::kU8;
  ValueType element_type_ = ValueType::kU8;
  std::size_t count_ = 0;
  std::span<const std::byte> bytes_;  // Payload: of a string, its characters alone.
};

}  // namespace hearth::gguf
