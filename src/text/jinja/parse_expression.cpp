// Expressions (parser.h).  The levels and their quirks are Jinja's: `~` binds tighter than
// `+`, filters apply after unary signs, and `**` is left-associative.
#include <cstdlib>
#include <string>

#include <fmt/format.h>

#include "text/jinja/parser.h"

namespace hearth::text::jinja {

namespace {

std::string without_underscores(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c != '_') out.push_back(c);
  }
  return out;
}

}  // namespace

bool Parser::at_tuple_end(std::string_view end_name) const {
  if (at(TokenKind::kVariableEnd) || at(TokenKind::kBlockEnd) || at_op(")")) return true;
  return !end_name.empty() && at_name(end_name);
}

// One expression, or several with commas between them as a tuple.
Parser::ExprResult Parser::parse_tuple(bool with_conditional, bool in_parentheses,
                                       std::string_view end_name) {
  const std::uint32_t line = current().line;
  std::vector<const Expr*> items;
  bool is_tuple = false;
  while (true) {
    if (!items.empty()) HEARTH_TRY_VOID(expect_op(","));
    if (at_tuple_end(end_name)) break;
    HEARTH_TRY(const Expr* item, parse_expression(with_conditional));
    items.push_back(item);
    if (!at_op(",")) break;
    is_tuple = true;
  }
  if (!is_tuple) {
    if (!items.empty()) return items.front();
    if (!in_parentheses) return unexpected("an expression");
  }
  return make<ListExpr>(Expr{ExprKind::kTuple, line}, keep(items));
}

Parser::ExprResult Parser::parse_expression(bool with_conditional) {
  const Level level(depth_);
  HEARTH_TRY_VOID(check_depth());
  return with_conditional ? parse_conditional() : parse_or();
}

Parser::ExprResult Parser::parse_conditional() {
  std::uint32_t line = current().line;
  HEARTH_TRY(const Expr* value, parse_or());
  while (skip_name("if")) {
    HEARTH_TRY(const Expr* condition, parse_or());
    const Expr* otherwise = nullptr;
    if (skip_name("else")) {
      const Level level(depth_);
      HEARTH_TRY_VOID(check_depth());
      HEARTH_TRY(otherwise, parse_conditional());
    }
    value = make<ConditionalExpr>(Expr{ExprKind::kConditional, line}, condition, value, otherwise);
    line = current().line;
  }
  return value;
}

Parser::ExprResult Parser::parse_or() {
  const std::uint32_t line = current().line;
  HEARTH_TRY(const Expr* left, parse_and());
  while (skip_name("or")) {
    HEARTH_TRY(const Expr* right, parse_and());
    left = make<LogicExpr>(Expr{ExprKind::kOr, line}, left, right);
  }
  return left;
}

Parser::ExprResult Parser::parse_and() {
  const std::uint32_t line = current().line;
  HEARTH_TRY(const Expr* left, parse_not());
  while (skip_name("and")) {
    HEARTH_TRY(const Expr* right, parse_not());
    left = make<LogicExpr>(Expr{ExprKind::kAnd, line}, left, right);
  }
  return left;
}

Parser::ExprResult Parser::parse_not() {
  if (!at_name("not")) return parse_compare();
  const Level level(depth_);
  HEARTH_TRY_VOID(check_depth());
  const std::uint32_t line = take().line;
  HEARTH_TRY(const Expr* operand, parse_not());
  return make<UnaryExpr>(Expr{ExprKind::kNot, line}, operand);
}

namespace {

struct CompareSign {
  std::string_view sign;
  CompareOp op;
};

constexpr CompareSign kCompareSigns[] = {
    {"==", CompareOp::kEqual},     {"!=", CompareOp::kNotEqual}, {"<", CompareOp::kLess},
    {"<=", CompareOp::kLessEqual}, {">", CompareOp::kGreater},   {">=", CompareOp::kGreaterEqual},
};

struct BinarySign {
  std::string_view sign;
  BinaryOp op;
};

constexpr BinarySign kSumSigns[] = {{"+", BinaryOp::kAdd}, {"-", BinaryOp::kSubtract}};
constexpr BinarySign kProductSigns[] = {{"*", BinaryOp::kMultiply},
                                        {"/", BinaryOp::kDivide},
                                        {"//", BinaryOp::kFloorDivide},
                                        {"%", BinaryOp::kModulo}};

const BinarySign* find_sign(std::span<const BinarySign> signs, const Token& token) {
  if (token.kind != TokenKind::kOperator) return nullptr;
  for (const BinarySign& sign : signs) {
    if (sign.sign == token.text) return &sign;
  }
  return nullptr;
}

}  // namespace

// Appends one `< right`, `in right` or the like; false if there is none.
Result<bool> Parser::parse_compare_step(std::vector<CompareStep>& steps) {
  CompareOp op{};
  if (skip_name("in")) {
    op = CompareOp::kIn;
  } else if (at_name("not") && look_ahead().kind == TokenKind::kName && look_ahead().text == "in") {
    take();
    take();
    op = CompareOp::kNotIn;
  } else {
    const CompareSign* found = nullptr;
    for (const CompareSign& sign : kCompareSigns) {
      if (at_op(sign.sign)) found = &sign;
    }
    if (!found) return false;
    take();
    op = found->op;
  }
  HEARTH_TRY(const Expr* right, parse_sum());
  steps.push_back({op, right});
  return true;
}

Parser::ExprResult Parser::parse_compare() {
  const std::uint32_t line = current().line;
  HEARTH_TRY(const Expr* first, parse_sum());
  std::vector<CompareStep> steps;
  while (true) {
    HEARTH_TRY(const bool found, parse_compare_step(steps));
    if (!found) break;
  }
  if (steps.empty()) return first;
  return make<CompareExpr>(Expr{ExprKind::kCompare, line}, first, keep(steps));
}

Parser::ExprResult Parser::parse_sum() {
  const std::uint32_t line = current().line;
  HEARTH_TRY(const Expr* left, parse_concat());
  while (const BinarySign* sign = find_sign(kSumSigns, current())) {
    take();
    HEARTH_TRY(const Expr* right, parse_concat());
    left = make<BinaryExpr>(Expr{ExprKind::kBinary, line}, sign->op, left, right);
  }
  return left;
}

Parser::ExprResult Parser::parse_concat() {
  const std::uint32_t line = current().line;
  HEARTH_TRY(const Expr* first, parse_product());
  if (!at_op("~")) return first;
  std::vector<const Expr*> items{first};
  while (skip_op("~")) {
    HEARTH_TRY(const Expr* item, parse_product());
    items.push_back(item);
  }
  return make<ListExpr>(Expr{ExprKind::kConcat, line}, keep(items));
}

Parser::ExprResult Parser::parse_product() {
  const std::uint32_t line = current().line;
  HEARTH_TRY(const Expr* left, parse_power());
  while (const BinarySign* sign = find_sign(kProductSigns, current())) {
    take();
    HEARTH_TRY(const Expr* right, parse_power());
    left = make<BinaryExpr>(Expr{ExprKind::kBinary, line}, sign->op, left, right);
  }
  return left;
}

Parser::ExprResult Parser::parse_power() {
  const std::uint32_t line = current().line;
  HEARTH_TRY(const Expr* left, parse_unary());
  while (skip_op("**")) {
    HEARTH_TRY(const Expr* right, parse_unary());
    left = make<BinaryExpr>(Expr{ExprKind::kBinary, line}, BinaryOp::kPower, left, right);
  }
  return left;
}

Parser::ExprResult Parser::parse_unary(bool with_filter) {
  const std::uint32_t line = current().line;
  const bool is_minus = at_op("-");
  const Expr* node = nullptr;
  if (is_minus || at_op("+")) {
    const Level level(depth_);
    HEARTH_TRY_VOID(check_depth());
    take();
    HEARTH_TRY(const Expr* operand, parse_unary(false));
    const ExprKind kind = is_minus ? ExprKind::kNegate : ExprKind::kAffirm;
    node = make<UnaryExpr>(Expr{kind, line}, operand);
  } else {
    HEARTH_TRY(node, parse_primary());
  }
  HEARTH_TRY(node, parse_postfix(node));
  return with_filter ? parse_filters_and_tests(node) : ExprResult(node);
}

Parser::ExprResult Parser::parse_primary() {
  switch (current().kind) {
    case TokenKind::kName:
      return parse_name();
    case TokenKind::kString:
      return parse_string();
    case TokenKind::kInteger:
      return parse_integer();
    case TokenKind::kFloat:
      return parse_float();
    default:
      break;
  }
  if (at_op("[")) return parse_list();
  if (at_op("{")) return parse_dict();
  if (!skip_op("(")) return unexpected("an expression");
  HEARTH_TRY(const Expr* inner, parse_tuple(true, true));
  HEARTH_TRY_VOID(expect_op(")"));
  return inner;
}

Parser::ExprResult Parser::parse_name() {
  const Token token = take();
  const Expr constant{ExprKind::kConstant, token.line};
  if (token.text == "true" || token.text == "True") {
    return make<ConstantExpr>(constant, Value::boolean(true));
  }
  if (token.text == "false" || token.text == "False") {
    return make<ConstantExpr>(constant, Value::boolean(false));
  }
  if (token.text == "none" || token.text == "None") {
    return make<ConstantExpr>(constant, Value::none());
  }
  for (MacroBody* macro : open_macros_) {
    if (token.text == "caller") macro->uses_caller = true;
    if (token.text == "kwargs") macro->uses_kwargs = true;
    if (token.text == "varargs") macro->uses_varargs = true;
  }
  const NameId name = intern(token.text);
  mention(name);
  return make<NameExpr>(Expr{ExprKind::kName, token.line}, name);
}

Parser::ExprResult Parser::parse_string() {
  const Token first = take();
  std::string_view text = first.text;
  if (at(TokenKind::kString)) {
    std::string joined(text);
    while (at(TokenKind::kString)) joined += take().text;
    text = program_.arena.copy(joined);
  }
  return make<ConstantExpr>(Expr{ExprKind::kConstant, first.line}, Value::string(text));
}

Parser::ExprResult Parser::parse_integer() {
  const Token token = take();
  std::string digits = without_underscores(token.text);
  unsigned base = 10;
  if (digits.size() > 2 && digits[0] == '0') {
    const char letter = static_cast<char>(digits[1] | 0x20);
    if (letter == 'x') base = 16;
    if (letter == 'o') base = 8;
    if (letter == 'b') base = 2;
    if (base != 10) digits.erase(0, 2);
  }
  WideInt value = 0;
  for (char c : digits) {
    const int digit = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
    if (__builtin_mul_overflow(value, static_cast<WideInt>(base), &value) ||
        __builtin_add_overflow(value, static_cast<WideInt>(digit), &value)) {
      return syntax_error(token.line, "an integer outgrows 128 bits");
    }
  }
  return make<ConstantExpr>(Expr{ExprKind::kConstant, token.line},
                            Value::wide(program_.arena, value));
}

Parser::ExprResult Parser::parse_float() {
  const Token token = take();
  const std::string digits = without_underscores(token.text);
  return make<ConstantExpr>(Expr{ExprKind::kConstant, token.line},
                            Value::real(std::strtod(digits.c_str(), nullptr)));
}

Parser::ExprResult Parser::parse_list() {
  const std::uint32_t line = take().line;
  std::vector<const Expr*> items;
  while (!at_op("]")) {
    if (!items.empty()) HEARTH_TRY_VOID(expect_op(","));
    if (at_op("]")) break;
    HEARTH_TRY(const Expr* item, parse_expression());
    items.push_back(item);
  }
  HEARTH_TRY_VOID(expect_op("]"));
  return make<ListExpr>(Expr{ExprKind::kList, line}, keep(items));
}

Parser::ExprResult Parser::parse_dict() {
  const std::uint32_t line = take().line;
  std::vector<const Expr*> keys, values;
  while (!at_op("}")) {
    if (!keys.empty()) HEARTH_TRY_VOID(expect_op(","));
    if (at_op("}")) break;
    HEARTH_TRY(const Expr* key, parse_expression());
    HEARTH_TRY_VOID(expect_op(":"));
    HEARTH_TRY(const Expr* value, parse_expression());
    keys.push_back(key);
    values.push_back(value);
  }
  HEARTH_TRY_VOID(expect_op("}"));
  return make<DictExpr>(Expr{ExprKind::kDict, line}, keep(keys), keep(values));
}

Parser::ExprResult Parser::parse_postfix(const Expr* object) {
  while (true) {
    if (at_op(".") || at_op("[")) {
      HEARTH_TRY(object, parse_subscript(object));
    } else if (at_op("(")) {
      HEARTH_TRY(object, parse_call_of(object));
    } else {
      return object;
    }
  }
}

Parser::ExprResult Parser::parse_filters_and_tests(const Expr* input) {
  while (true) {
    if (at_op("|")) {
      HEARTH_TRY(input, parse_filter_chain(input));
    } else if (at_name("is")) {
      HEARTH_TRY(input, parse_test(input));
    } else if (at_op("(")) {
      HEARTH_TRY(input, parse_call_of(input));
    } else {
      return input;
    }
  }
}

Parser::ExprResult Parser::parse_subscript(const Expr* object) {
  const Token token = take();
  if (token.text == "[") return parse_brackets(object, token.line);
  if (at(TokenKind::kInteger)) {
    HEARTH_TRY(const Expr* key, parse_integer());
    return make<ItemExpr>(Expr{ExprKind::kItem, token.line}, object, key);
  }
  HEARTH_TRY(const Token name, expect_identifier());
  return make<AttributeExpr>(Expr{ExprKind::kAttribute, token.line}, object, name.text);
}

Parser::ExprResult Parser::parse_brackets(const Expr* object, std::uint32_t line) {
  if (at_op(":")) return parse_slice(object, nullptr, line);
  std::vector<const Expr*> keys;
  while (!at_op("]")) {
    if (!keys.empty()) HEARTH_TRY_VOID(expect_op(","));
    HEARTH_TRY(const Expr* key, parse_expression());
    if (at_op(":") && keys.empty()) return parse_slice(object, key, line);
    keys.push_back(key);
  }
  HEARTH_TRY_VOID(expect_op("]"));
  const Expr* key =
      keys.size() == 1 ? keys.front() : make<ListExpr>(Expr{ExprKind::kTuple, line}, keep(keys));
  return make<ItemExpr>(Expr{ExprKind::kItem, line}, object, key);
}

Parser::ExprResult Parser::parse_slice(const Expr* object, const Expr* start, std::uint32_t line) {
  HEARTH_TRY_VOID(expect_op(":"));
  const Expr* stop = nullptr;
  const Expr* step = nullptr;
  if (!at_op(":") && !at_op("]")) {
    HEARTH_TRY(stop, parse_expression());
  }
  if (skip_op(":") && !at_op("]")) {
    HEARTH_TRY(step, parse_expression());
  }
  HEARTH_TRY_VOID(expect_op("]"));
  return make<SliceExpr>(Expr{ExprKind::kSlice, line}, object, start, stop, step);
}

Parser::ExprResult Parser::parse_call_of(const Expr* callee) {
  const std::uint32_t line = current().line;
  HEARTH_TRY(const ArgumentList arguments, parse_arguments());
  return make<CallExpr>(Expr{ExprKind::kCall, line}, callee, arguments);
}

Result<ArgumentList> Parser::parse_arguments() {
  const std::uint32_t line = current().line;
  HEARTH_TRY_VOID(expect_op("("));
  ArgumentList list;
  std::vector<const Expr*> positional;
  std::vector<KeywordExpr> named;
  for (bool is_first = true; !at_op(")"); is_first = false) {
    if (!is_first) HEARTH_TRY_VOID(expect_op(","));
    if (at_op(")")) break;
    const bool is_named = at(TokenKind::kName) && look_ahead().kind == TokenKind::kOperator &&
                          look_ahead().text == "=";
    bool in_order = !list.more_named;
    if (skip_op("*")) {
      in_order = in_order && !list.more_positional;
      HEARTH_TRY(list.more_positional, parse_expression());
    } else if (skip_op("**")) {
      HEARTH_TRY(list.more_named, parse_expression());
    } else if (is_named) {
      const std::string_view name = take().text;
      take();
      HEARTH_TRY(const Expr* value, parse_expression());
      named.push_back({name, value});
    } else {
      in_order = in_order && !list.more_positional && named.empty();
      HEARTH_TRY(const Expr* value, parse_expression());
      positional.push_back(value);
    }
    if (!in_order) return syntax_error(line, "a call's arguments are out of order");
  }
  HEARTH_TRY_VOID(expect_op(")"));
  list.positional = keep(positional);
  list.named = keep(named);
  return list;
}

Result<std::string_view> Parser::parse_dotted_name() {
  HEARTH_TRY(const Token first, expect_identifier());
  if (!at_op(".")) return first.text;
  std::string name(first.text);
  while (skip_op(".")) {
    HEARTH_TRY(const Token next, expect_identifier());
    name += '.';
    name += next.text;
  }
  return program_.arena.copy(name);
}

Parser::ExprResult Parser::parse_one_filter(const Expr* input) {
  const std::uint32_t line = current().line;
  HEARTH_TRY(const std::string_view name, parse_dotted_name());
  ArgumentList arguments;
  if (at_op("(")) {
    HEARTH_TRY(arguments, parse_arguments());
  }
  return make<FilterExpr>(Expr{ExprKind::kFilter, line}, input, name, filter_table().find(name),
                          arguments);
}

Parser::ExprResult Parser::parse_filter_chain(const Expr* input) {
  while (skip_op("|")) {
    HEARTH_TRY(input, parse_one_filter(input));
  }
  return input;
}

// Whether a test's argument follows without parentheses, as in `x is divisibleby 3`.
bool Parser::at_test_argument() const {
  switch (current().kind) {
    case TokenKind::kName:
      return !at_name("else") && !at_name("or") && !at_name("and");
    case TokenKind::kString:
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return true;
    default:
      return at_op("[") || at_op("{");
  }
}

Parser::ExprResult Parser::parse_test(const Expr* input) {
  const std::uint32_t line = take().line;
  const bool is_negated = skip_name("not");
  HEARTH_TRY(const std::string_view name, parse_dotted_name());
  ArgumentList arguments;
  if (at_op("(")) {
    HEARTH_TRY(arguments, parse_arguments());
  } else if (at_test_argument()) {
    if (at_name("is")) return syntax_error(line, "tests can't be chained with 'is'");
    HEARTH_TRY(const Expr* argument, parse_primary());
    HEARTH_TRY(argument, parse_postfix(argument));
    arguments.positional = keep(std::vector<const Expr*>{argument});
  }
  const Expr* test = make<FilterExpr>(Expr{ExprKind::kTest, line}, input, name,
                                      test_table().find(name), arguments);
  return is_negated ? make<UnaryExpr>(Expr{ExprKind::kNot, line}, test) : test;
}

}  // namespace hearth::text::jinja
