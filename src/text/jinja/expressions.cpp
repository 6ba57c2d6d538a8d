// Expressions (interpreter.h).
#include <fmt/format.h>

#include "text/jinja/interpreter.h"
#include "text/jinja/print.h"

namespace hearth::text::jinja {

namespace {

template <class Node>
const Node& as(const Expr& expr) {
  return static_cast<const Node&>(expr);
}

}  // namespace

Result<Value> Interpreter::eval(const Expr& expr) {
  const Level level(depth_);
  if (depth_ > kEvaluationDepthMax) {
    return template_error(
        fmt::format("evaluation nests deeper than {} levels", kEvaluationDepthMax));
  }
  line_ = expr.line;
  HEARTH_TRY_VOID(runtime_.charge(1));
  switch (expr.kind) {
    case ExprKind::kConstant:
      return as<ConstantExpr>(expr).value;
    case ExprKind::kName:
      return lookup(as<NameExpr>(expr).name);
    case ExprKind::kList:
    case ExprKind::kTuple:
      return eval_list(as<ListExpr>(expr));
    case ExprKind::kDict:
      return eval_dict(as<DictExpr>(expr));
    case ExprKind::kNegate: {
      HEARTH_TRY(const Value operand, eval(*as<UnaryExpr>(expr).operand));
      return negate(runtime_, operand);
    }
    case ExprKind::kAffirm: {
      HEARTH_TRY(const Value operand, eval(*as<UnaryExpr>(expr).operand));
      return affirm(runtime_, operand);
    }
    case ExprKind::kNot: {
      HEARTH_TRY(const Value operand, eval(*as<UnaryExpr>(expr).operand));
      return Value::boolean(!truth(operand));
    }
    case ExprKind::kAnd:
    case ExprKind::kOr:
      return eval_logic(as<LogicExpr>(expr));
    case ExprKind::kBinary:
      return eval_binary(as<BinaryExpr>(expr));
    case ExprKind::kCompare:
      return eval_compare(as<CompareExpr>(expr));
    case ExprKind::kConcat:
      return eval_concat(as<ListExpr>(expr));
    case ExprKind::kConditional:
      return eval_conditional(as<ConditionalExpr>(expr));
    case ExprKind::kAttribute: {
      HEARTH_TRY(const Value object, eval(*as<AttributeExpr>(expr).object));
      return get_attribute(runtime_, object, as<AttributeExpr>(expr).name);
    }
    case ExprKind::kItem:
      return eval_item(as<ItemExpr>(expr));
    case ExprKind::kSlice:
      return eval_slice(as<SliceExpr>(expr));
    case ExprKind::kCall:
      return eval_call(as<CallExpr>(expr), Value::missing());
    case ExprKind::kFilter:
    case ExprKind::kTest:
      return eval_filter(as<FilterExpr>(expr));
  }
  return Value::none();
}

Result<Value> Interpreter::eval_optional(const Expr* expr) {
  if (!expr) return Value::missing();
  return eval(*expr);
}

Result<std::vector<Value>> Interpreter::eval_all(ExprList list) {
  std::vector<Value> values;
  values.reserve(list.size());
  for (const Expr* expr : list) {
    HEARTH_TRY(const Value value, eval(*expr));
    values.push_back(value);
  }
  return values;
}

Result<Value> Interpreter::eval_list(const ListExpr& expr) {
  HEARTH_TRY(const std::vector<Value> items, eval_all(expr.items));
  return expr.kind == ExprKind::kList ? runtime_.list(items) : runtime_.tuple(items);
}

Result<Value> Interpreter::eval_dict(const DictExpr& expr) {
  auto* dict = runtime_.arena.make<Dict>();
  for (std::size_t i = 0; i < expr.keys.size(); ++i) {
    HEARTH_TRY(const Value key, eval(*expr.keys[i]));
    HEARTH_TRY(const Value value, eval(*expr.values[i]));
    if (!hashable(key)) {
      return template_error(fmt::format("unhashable type: '{}'", type_name(key)));
    }
    HEARTH_TRY_VOID(runtime_.charge_walk(key));
    dict->set(runtime_.arena, key, value);
  }
  return runtime_.dict(dict);
}

Result<Value> Interpreter::eval_logic(const LogicExpr& expr) {
  HEARTH_TRY(const Value left, eval(*expr.left));
  if (truth(left) == (expr.kind == ExprKind::kOr)) return left;
  return eval(*expr.right);
}

Result<Value> Interpreter::eval_binary(const BinaryExpr& expr) {
  HEARTH_TRY(const Value left, eval(*expr.left));
  HEARTH_TRY(const Value right, eval(*expr.right));
  return binary(runtime_, expr.op, left, right);
}

Result<bool> Interpreter::compare(CompareOp op, const Value& left, const Value& right) {
  switch (op) {
    case CompareOp::kIn:
      return contains(runtime_, right, left);
    case CompareOp::kNotIn: {
      HEARTH_TRY(const bool found, contains(runtime_, right, left));
      return !found;
    }
    default:
      break;
  }
  HEARTH_TRY_VOID(runtime_.charge_walk(left));
  if (op == CompareOp::kEqual) return equal(left, right);
  if (op == CompareOp::kNotEqual) return !equal(left, right);
  HEARTH_TRY(const Order found, order(left, right));
  switch (op) {
    case CompareOp::kLess:
      return found == Order::kLess;
    case CompareOp::kLessEqual:
      return found == Order::kLess || found == Order::kEqual;
    case CompareOp::kGreater:
      return found == Order::kGreater;
    default:
      return found == Order::kGreater || found == Order::kEqual;
  }
}

// `a < b < c` compares neighbours and stops at the first that fails.
Result<Value> Interpreter::eval_compare(const CompareExpr& expr) {
  HEARTH_TRY(Value left, eval(*expr.first));
  for (const CompareStep& step : expr.steps) {
    HEARTH_TRY(const Value right, eval(*step.right));
    HEARTH_TRY(const bool holds, compare(step.op, left, right));
    if (!holds) return Value::boolean(false);
    left = right;
  }
  return Value::boolean(true);
}

Result<Value> Interpreter::eval_concat(const ListExpr& expr) {
  std::string_view text;
  for (const Expr* item : expr.items) {
    HEARTH_TRY(const Value value, eval(*item));
    HEARTH_TRY(const Value part, to_str(runtime_, value));
    HEARTH_TRY_VOID(runtime_.reserve(1, text.size() + part.text().size()));
    HEARTH_TRY_VOID(runtime_.charge_text(part.text().size()));
    text = text.empty() ? part.text() : runtime_.arena.append(text, part.text());
  }
  return Value::string(text);
}

Result<Value> Interpreter::eval_conditional(const ConditionalExpr& expr) {
  HEARTH_TRY(const Value condition, eval(*expr.condition));
  if (truth(condition)) return eval(*expr.then);
  if (expr.otherwise) return eval(*expr.otherwise);
  return Value::undefined(
      UndefinedBecause::kHint,
      "the inline if-expression evaluated to false and no else section was defined");
}

Result<Value> Interpreter::eval_item(const ItemExpr& expr) {
  HEARTH_TRY(const Value object, eval(*expr.object));
  HEARTH_TRY(const Value key, eval(*expr.key));
  return get_item(runtime_, object, key);
}

Result<Value> Interpreter::eval_slice(const SliceExpr& expr) {
  HEARTH_TRY(const Value object, eval(*expr.object));
  HEARTH_TRY(const Value start, eval_optional(expr.start));
  HEARTH_TRY(const Value stop, eval_optional(expr.stop));
  HEARTH_TRY(const Value step, eval_optional(expr.step));
  return get_slice(runtime_, object, start, stop, step);
}

// The `*more` and `**more` of an argument list.
Result<> Interpreter::collect_more(const ArgumentList& list, Collected& collected) {
  if (list.more_positional) {
    HEARTH_TRY(const Value more, eval(*list.more_positional));
    HEARTH_TRY(const std::vector<Value> items, collect(runtime_, more));
    collected.positional.insert(collected.positional.end(), items.begin(), items.end());
  }
  if (!list.more_named) return {};
  HEARTH_TRY(const Value more, eval(*list.more_named));
  if (!more.is(Kind::kDict)) return template_error("the argument after ** must be a dict");
  for (const DictEntry& entry : more.dict().span()) {
    if (!entry.key.is_string()) return template_error("keywords must be strings");
    for (const NamedArgument& named : collected.named) {
      if (named.name == entry.key.text()) {
        return template_error(
            fmt::format("got multiple values for keyword argument '{}'", named.name));
      }
    }
    collected.named.push_back({entry.key.text(), entry.value});
  }
  return {};
}

Result<Interpreter::Collected> Interpreter::collect_arguments(const ArgumentList& list) {
  Collected collected;
  HEARTH_TRY(collected.positional, eval_all(list.positional));
  for (const KeywordExpr& keyword : list.named) {
    HEARTH_TRY(const Value value, eval(*keyword.value));
    for (const NamedArgument& named : collected.named) {
      if (named.name == keyword.name) {
        return template_error(fmt::format("keyword argument repeated: {}", named.name));
      }
    }
    collected.named.push_back({keyword.name, value});
  }
  HEARTH_TRY_VOID(collect_more(list, collected));
  return collected;
}

Result<Value> Interpreter::eval_call(const CallExpr& expr, const Value& caller) {
  HEARTH_TRY(const Value callee, eval(*expr.callee));
  HEARTH_TRY(Collected arguments, collect_arguments(expr.arguments));
  if (!caller.is_missing()) arguments.named.push_back({"caller", caller});
  line_ = expr.line;
  return call(callee, arguments.view());
}

Result<Value> Interpreter::eval_filter(const FilterExpr& expr) {
  const Value block_text = block_text_;
  Value input = block_text;
  if (expr.input) {
    HEARTH_TRY(input, eval(*expr.input));
  }
  HEARTH_TRY(const Collected arguments, collect_arguments(expr.arguments));
  line_ = expr.line;
  if (!expr.function) {
    return template_error(fmt::format("no {} named '{}'",
                                      expr.kind == ExprKind::kTest ? "test" : "filter", expr.name));
  }
  return invoke(runtime_, *expr.function, input, arguments.view());
}

}  // namespace hearth::text::jinja
