// What a kernel takes: typed tensors with symbolic shapes, and scalars.
//
//   out f32[n], in f32[n], w f32[n], n i64
//   out f64[n, m], u f64[n+2, m+2]
//   out f32[n], in f32[n, m] strided, scale f32
//
// A parameter is `NAME TYPE[EXTENT, ...]` for a tensor and `NAME TYPE` for a scalar (i32, i64, f32
// or f64).  Its name says what becomes of it: `out` and `out_...` are written, `inout...` are read
// and written, all others are only read.
//
// An extent is an expression (expression.h) of symbols.  A symbol is an integer scalar of that
// name, or is bound by a tensor's shape: then some tensor must have it alone as an extent.  So each
// call of a kernel gives each symbol one value, and every shape is checked against those.
//
// How a kernel sees its arguments (sandbox/kernel_abi.h): `buffers` are the tensors in order;
// `integers` are the symbols' values in the order of Signature::symbols (integer scalars first),
// then the strides of each `strided` tensor, in elements; `reals` are the real scalars in order.
//
// Threading: values; const after parsing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "compute/expression.h"

namespace hearth::compute {

inline constexpr std::size_t kSignatureBytesMax = 4096;
inline constexpr std::size_t kTensorsMax = 16;
inline constexpr std::size_t kIntegersMax = 16;  // Symbols and strides together.
inline constexpr std::size_t kRealsMax = 16;
inline constexpr std::size_t kRankMax = 8;
inline constexpr std::int64_t kTensorBytesMax = std::int64_t{1} << 46;

enum class ElementType : std::uint8_t { kF32, kF64, kI8, kI16, kI32, kI64, kU8, kU16, kU32, kU64 };
inline constexpr std::size_t kElementTypes = 10;

struct ElementTypeInfo {
  std::string_view name;  // "f32", as signatures, the prelude and C++ code after it spell it.
  std::size_t bytes;
  bool is_float;
  bool is_signed;
};
const ElementTypeInfo& type_info(ElementType type);
std::optional<ElementType> type_from_name(std::string_view name);

enum class Direction : std::uint8_t { kIn, kOut, kInOut };

struct Parameter {
  std::string name;
  ElementType type = ElementType::kF32;
  Direction direction = Direction::kIn;
  bool is_scalar = false;
  bool is_strided = false;
  std::vector<Expression> extents;  // Of a tensor, slowest first.

  bool is_tensor() const { return !is_scalar; }
  bool is_written() const { return direction != Direction::kIn; }
  bool is_read() const { return direction != Direction::kOut; }
};

struct Signature {
  std::vector<Parameter> parameters;
  Symbols symbols;  // Integer scalars in order, then symbols that shapes bind.
  std::size_t n_scalar_symbols = 0;

  std::size_t n_tensors() const;
  std::size_t n_reals() const;
  // In one spelling: equal signatures have equal texts.
  std::string text() const;
};

// kInvalidArgument names the parameter and what is wrong with it.
Result<Signature> parse_signature(std::string_view text);

// A tensor of the caller's.  Strides count elements; none: contiguous, the last extent fastest.
// `data` is the element at index 0 of each extent.
struct Tensor {
  ElementType type = ElementType::kF32;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides = {};
  std::byte* data = nullptr;
  // The shared memory that it lies in, borrowed, and where `data` is in it; -1: memory of this
  // process alone.
  int memory_fd = -1;
  std::uint64_t memory_offset = 0;

  std::int64_t n_elements() const;
};

using Argument = std::variant<Tensor, std::int64_t, double>;

// Arguments that fit a signature, in the form of kernel_abi.h.
struct Bindings {
  std::vector<Tensor> tensors;         // In order; strides filled in.
  std::vector<std::int64_t> integers;  // Symbols, then strides.
  std::vector<double> reals;
  std::size_t n_symbols = 0;

  std::span<const std::int64_t> symbols() const { return std::span(integers).first(n_symbols); }
};

// Checks types, shapes and strides, not memory.  `arguments` are in the order of the parameters.
// kInvalidArgument names the parameter, what it is and what it should be.
Result<Bindings> bind_shapes(const Signature& signature, std::span<const Argument> arguments);

// The same, and memory: no null, no address off its type's alignment, nothing written that overlaps
// anything else or itself.
Result<Bindings> bind_arguments(const Signature& signature, std::span<const Argument> arguments);

// Values of all symbols from the arguments that are known; those that are missing (outputs to be
// made, scalars that a shape already says) are found from the others.
Result<std::vector<std::int64_t>> solve_symbols(const Signature& signature,
                                                std::span<const std::optional<Argument>> known);

// A tensor parameter's shape under these values of all symbols.
Result<std::vector<std::int64_t>> shape_of(const Parameter& parameter,
                                           std::span<const std::int64_t> symbols);

// Strides of a contiguous tensor, the last extent fastest.
std::vector<std::int64_t> contiguous_strides(std::span<const std::int64_t> shape);

// Bytes before and from the first element on that a tensor touches; {0, 0} for an empty one.
struct Reach {
  std::int64_t before = 0, after = 0;
};
Reach reach_of(const Tensor& tensor);

// "f32[3, 5]".
std::string describe(ElementType type, std::span<const std::int64_t> shape);

}  // namespace hearth::compute
