#include "compute/expression.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <iterator>
#include <optional>

namespace hearth::compute {
namespace {

using Op = Expression::Op;
using Step = Expression::Step;

constexpr int kDepthMax = 16;  // Of parentheses.

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

struct BinaryOperator {
  std::string_view text;
  Op op;
  int precedence;
};

// Longer ones first where one begins like another.
constexpr std::array kOperators = {
    BinaryOperator{"||", Op::kOr, 1},        BinaryOperator{"&&", Op::kAnd, 2},
    BinaryOperator{"==", Op::kEqual, 3},     BinaryOperator{"!=", Op::kUnequal, 3},
    BinaryOperator{"<=", Op::kLessEqual, 4}, BinaryOperator{">=", Op::kGreaterEqual, 4},
    BinaryOperator{"<", Op::kLess, 4},       BinaryOperator{">", Op::kGreater, 4},
    BinaryOperator{"+", Op::kAdd, 5},        BinaryOperator{"-", Op::kSubtract, 5},
    BinaryOperator{"*", Op::kMultiply, 6},   BinaryOperator{"/", Op::kDivide, 6},
    BinaryOperator{"%", Op::kRemainder, 6},
};

struct Function {
  std::string_view name;
  Op op;
  int n_arguments;
};
constexpr std::array kFunctions = {Function{"log2", Op::kLog2, 1}, Function{"min", Op::kMin, 2},
                                   Function{"max", Op::kMax, 2}};

// Recursive descent by precedence; keeps the first problem.
class Parser {
 public:
  Parser(std::string_view text, Symbols& symbols, Expression::Names names)
      : text_(text), symbols_(symbols), names_(names) {}

  Result<std::vector<Step>> parse() {
    binary(1, 0);
    skip_spaces();
    if (problem_.empty() && at_ < text_.size()) expected("an operator");
    if (!problem_.empty()) return fail(Code::kInvalidArgument, problem_);
    return std::move(steps_);
  }

 private:
  void binary(int precedence, int depth) {
    unary(depth);
    while (problem_.empty()) {
      const BinaryOperator* const found = next_operator();
      if (found == nullptr || found->precedence < precedence) return;
      at_ += found->text.size();
      binary(found->precedence + 1, depth);
      push({found->op});
    }
  }

  void unary(int depth) {
    skip_spaces();
    if (depth > kDepthMax)
      return set(fmt::format("more than {} levels of parentheses or signs", kDepthMax));
    if (at_ == text_.size()) return expected("a number or a name");
    const char c = text_[at_];
    if (c == '-') {
      ++at_;
      unary(depth + 1);
      push({Op::kNegate});
    } else if (c == '(') {
      ++at_;
      binary(1, depth + 1);
      take(')');
    } else if (is_digit(c)) {
      number();
    } else if (is_letter(c)) {
      name(depth);
    } else {
      expected("a number or a name");
    }
  }

  void number() {
    std::int64_t value = 0;
    const char* const end = text_.data() + text_.size();
    const auto [stop, error] = std::from_chars(text_.data() + at_, end, value);
    if (error != std::errc{}) return set("a number is too large");
    at_ = static_cast<std::size_t>(stop - text_.data());
    push({Op::kNumber, value});
  }

  void name(int depth) {
    const std::size_t begin = at_;
    while (at_ < text_.size() && (is_letter(text_[at_]) || is_digit(text_[at_]))) ++at_;
    const std::string_view word = text_.substr(begin, at_ - begin);
    const auto function = std::ranges::find(kFunctions, word, &Function::name);
    skip_spaces();
    if (function != kFunctions.end() && at_ < text_.size() && text_[at_] == '(')
      return call(*function, depth);
    if (word.size() > kSymbolBytesMax)
      return set(fmt::format("a name has more than {} bytes", kSymbolBytesMax));
    const auto symbol = std::ranges::find(symbols_, word);
    if (symbol == symbols_.end()) {
      if (names_ == Expression::Names::kKnown)
        return set(fmt::format("'{}' is no symbol of the signature", word));
      symbols_.emplace_back(word);
      return push({Op::kSymbol, static_cast<std::int64_t>(symbols_.size()) - 1});
    }
    push({Op::kSymbol, symbol - symbols_.begin()});
  }

  void call(const Function& function, int depth) {
    take('(');
    for (int i = 0; i < function.n_arguments && problem_.empty(); ++i) {
      if (i > 0) take(',');
      binary(1, depth + 1);
    }
    take(')');
    push({function.op});
  }

  const BinaryOperator* next_operator() {
    skip_spaces();
    for (const BinaryOperator& candidate : kOperators) {
      if (text_.substr(at_).starts_with(candidate.text)) return &candidate;
    }
    return nullptr;
  }

  void take(char c) {
    skip_spaces();
    if (!problem_.empty()) return;
    if (at_ == text_.size() || text_[at_] != c) return expected(fmt::format("'{}'", c));
    ++at_;
  }

  void push(Step step) {
    if (steps_.size() == kExpressionStepsMax)
      return set(fmt::format("more than {} steps", kExpressionStepsMax));
    if (problem_.empty()) steps_.push_back(step);
  }

  void skip_spaces() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }
  void expected(std::string_view what) {
    set(fmt::format("{} is expected at byte {}", what, at_ + 1));
  }
  void set(std::string_view problem) {
    if (problem_.empty())
      problem_ = fmt::format("the expression '{}' can't be read: {}", text_, problem);
  }

  const std::string_view text_;
  Symbols& symbols_;
  const Expression::Names names_;
  std::size_t at_ = 0;
  std::vector<Step> steps_;
  std::string problem_;
};

std::int64_t log2_up(std::int64_t value) {
  return value <= 1 ? 0 : std::bit_width(static_cast<std::uint64_t>(value - 1));
}

// Nothing where the result does not fit or does not exist.
std::optional<std::int64_t> apply(Op op, std::int64_t a, std::int64_t b) {
  std::int64_t out = 0;
  switch (op) {
    case Op::kAdd:
      return __builtin_add_overflow(a, b, &out) ? std::nullopt : std::optional(out);
    case Op::kSubtract:
      return __builtin_sub_overflow(a, b, &out) ? std::nullopt : std::optional(out);
    case Op::kMultiply:
      return __builtin_mul_overflow(a, b, &out) ? std::nullopt : std::optional(out);
    case Op::kDivide:
      return b == 0 || (a == INT64_MIN && b == -1) ? std::nullopt : std::optional(a / b);
    case Op::kRemainder:
      return b == 0 || b == -1 ? std::nullopt : std::optional(a % b);
    case Op::kMin:
      return std::min(a, b);
    case Op::kMax:
      return std::max(a, b);
    case Op::kEqual:
      return a == b;
    case Op::kUnequal:
      return a != b;
    case Op::kLess:
      return a < b;
    case Op::kLessEqual:
      return a <= b;
    case Op::kGreater:
      return a > b;
    case Op::kGreaterEqual:
      return a >= b;
    case Op::kAnd:
      return (a != 0) && (b != 0);
    case Op::kOr:
      return (a != 0) || (b != 0);
    default:
      return std::nullopt;
  }
}

}  // namespace

bool is_identifier(std::string_view text) {
  if (text.empty() || text.size() > kSymbolBytesMax || !is_letter(text[0])) return false;
  return std::ranges::all_of(text, [](char c) { return is_letter(c) || is_digit(c); });
}

Result<Expression> Expression::parse(std::string_view text, Symbols& symbols, Names names) {
  if (text.size() > kExpressionBytesMax) {
    return fail(Code::kInvalidArgument,
                fmt::format("an expression has {} bytes, at most {} are read", text.size(),
                            kExpressionBytesMax));
  }
  Expression expression;
  std::ranges::copy_if(text, std::back_inserter(expression.text_),
                       [](char c) { return !is_space(c); });
  HEARTH_TRY(expression.steps_, Parser(text, symbols, names).parse());
  return expression;
}

Result<Expression> Expression::parse(std::string_view text, const Symbols& symbols) {
  Symbols known = symbols;
  return parse(text, known, Names::kKnown);
}

Result<std::int64_t> Expression::value(std::span<const std::int64_t> values) const {
  std::array<std::int64_t, kExpressionStepsMax> stack;
  std::size_t n = 0;
  for (const Step& step : steps_) {
    if (step.op == Op::kNumber || step.op == Op::kSymbol) {
      stack[n++] =
          step.op == Op::kNumber ? step.value : values[static_cast<std::size_t>(step.value)];
    } else if (step.op == Op::kNegate || step.op == Op::kLog2) {
      const auto negated = apply(Op::kSubtract, 0, stack[n - 1]);
      if (step.op == Op::kNegate && !negated)
        return fail(Code::kInvalidArgument, fmt::format("'{}' overflows", text_));
      stack[n - 1] = step.op == Op::kNegate ? *negated : log2_up(stack[n - 1]);
    } else {
      const auto result = apply(step.op, stack[n - 2], stack[n - 1]);
      if (!result)
        return fail(Code::kInvalidArgument,
                    fmt::format("'{}' overflows or divides by zero", text_));
      stack[--n - 1] = *result;
    }
  }
  return stack[0];
}

int Expression::bare_symbol() const {
  return steps_.size() == 1 && steps_[0].op == Op::kSymbol ? static_cast<int>(steps_[0].value) : -1;
}

std::vector<std::size_t> Expression::symbols_used() const {
  std::vector<std::size_t> used;
  for (const Step& step : steps_) {
    if (step.op != Op::kSymbol) continue;
    const auto index = static_cast<std::size_t>(step.value);
    if (std::ranges::find(used, index) == used.end()) used.push_back(index);
  }
  return used;
}

}  // namespace hearth::compute
