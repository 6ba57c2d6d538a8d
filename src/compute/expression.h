// Integer expressions of symbols: the extents of tensors, the cost of a kernel, what its sizes must
// fulfil.
//
//   n*m    (n + 2) * 4    2*n*log2(n)    min(n, m)    n % 8 == 0 && n >= 64
//
// Precedence is that of C; a comparison is 1 or 0.  log2 rounds up and is 0 for 0 and 1. Everything
// is checked: an overflow or a division by zero is an error, never a wrong number, since these
// values become sizes of memory.
//
// Threading: const after parsing; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::compute {

inline constexpr std::size_t kExpressionBytesMax = 256;
inline constexpr std::size_t kExpressionStepsMax = 64;
inline constexpr std::size_t kSymbolBytesMax = 32;

// Names of symbols; a symbol's value stands at its index.
using Symbols = std::vector<std::string>;

class Expression {
 public:
  enum class Names : std::uint8_t {
    kAdd,
    kKnown
  };  // What an unknown name is: a new symbol, or an error.

  // kInvalidArgument names the place where `text` stops making sense, or a limit.
  static Result<Expression> parse(std::string_view text, Symbols& symbols, Names names);
  // With known names alone.
  static Result<Expression> parse(std::string_view text, const Symbols& symbols);

  // kInvalidArgument where it overflows or divides by zero.  `values` are those of all symbols.
  Result<std::int64_t> value(std::span<const std::int64_t> values) const;

  const std::string& text() const { return text_; }  // Without spaces.
  // The index of the symbol if the expression is nothing else; -1 otherwise.
  int bare_symbol() const;
  std::vector<std::size_t> symbols_used() const;  // Indices, each once, in order.

  enum class Op : std::uint8_t {
    kNumber,
    kSymbol,
    kNegate,
    kLog2,
    kAdd,
    kSubtract,
    kMultiply,
    kDivide,
    kRemainder,
    kMin,
    kMax,
    kEqual,
    kUnequal,
    kLess,
    kLessEqual,
    kGreater,
    kGreaterEqual,
    kAnd,
    kOr,
  };
  struct Step {  // Of a stack machine.
    Op op;
    std::int64_t value = 0;  // Of kNumber; of kSymbol, its index.
  };

 private:
  std::string text_;
  std::vector<Step> steps_;
};

// A letter or underscore, then letters, digits and underscores; at most kSymbolBytesMax bytes.
bool is_identifier(std::string_view text);

}  // namespace hearth::compute
