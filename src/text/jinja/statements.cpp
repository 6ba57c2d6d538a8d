// Statements and variables (interpreter.h).
#include <algorithm>

#include <fmt/format.h>

#include "text/jinja/interpreter.h"
#include "text/jinja/print.h"

namespace hearth::text::jinja {

// --- Variables -----------------------------------------------------------------------------------

const Value* Scope::find(NameId name) const {
  for (std::uint32_t i = 0; i < size; ++i) {
    if (bindings[i].name == name) return &bindings[i].value;
  }
  return nullptr;
}

void Scope::set(Arena& arena, NameId name, const Value& value) {
  for (std::uint32_t i = 0; i < size; ++i) {
    if (bindings[i].name == name) {
      bindings[i].value = value;
      return;
    }
  }
  if (size == capacity) {
    capacity = capacity == 0 ? 4 : capacity * 2;
    auto* larger = arena.make_array<Binding>(capacity);
    std::copy(bindings, bindings + size, larger);
    bindings = larger;
  }
  bindings[size++] = {name, value};
}

Scope* Interpreter::new_scope(Scope* parent, const ScopeInfo* info) {
  Scope* scope = runtime_.arena.make<Scope>(parent);
  hide_names(*scope, info);
  return scope;
}

void Interpreter::hide_names(Scope& scope, const ScopeInfo* info) {
  if (!info) return;
  for (const NameId name : info->hidden) scope.set(runtime_.arena, name, Value::missing());
}

Value Interpreter::or_undefined(const Value& value, NameId name) const {
  if (!value.is_missing()) return value;
  return Value::undefined(UndefinedBecause::kName, program_.names[static_cast<std::size_t>(name)]);
}

Value Interpreter::lookup(NameId name) const {
  for (const Scope* scope = scope_; scope; scope = scope->parent) {
    if (const Value* found = scope->find(name)) return or_undefined(*found, name);
  }
  return or_undefined(variables_[static_cast<std::size_t>(name)], name);
}

void Interpreter::assign(NameId name, const Value& value) {
  if (scope_) {
    scope_->set(runtime_.arena, name, value);
  } else {
    variables_[static_cast<std::size_t>(name)] = value;
  }
}

Result<> Interpreter::assign_attribute(const Target& target, const Value& value) {
  const Value object = lookup(target.name);
  if (!object.is(Kind::kNamespace)) {
    return template_error("cannot assign attribute on non-namespace object");
  }
  object.name_space().attributes.set(runtime_.arena, Value::string(target.attribute), value);
  return {};
}

Result<> Interpreter::assign_tuple(const Target& target, const Value& value) {
  HEARTH_TRY(const std::vector<Value> items, collect(runtime_, value));
  if (items.size() != target.items.size()) {
    return template_error(
        fmt::format("{} values to unpack, {} expected", items.size(), target.items.size()));
  }
  for (std::size_t i = 0; i < items.size(); ++i) {
    HEARTH_TRY_VOID(assign(*target.items[i], items[i]));
  }
  return {};
}

Result<> Interpreter::assign(const Target& target, const Value& value) {
  switch (target.kind) {
    case TargetKind::kName:
      return assign(target.name, value), Result<>{};
    case TargetKind::kAttribute:
      return assign_attribute(target, value);
    case TargetKind::kTuple:
      return assign_tuple(target, value);
  }
  return {};
}

Value Interpreter::make_macro(const MacroBody& body) {
  for (Scope* scope = scope_; scope && !scope->is_captured; scope = scope->parent) {
    scope->is_captured = true;
  }
  return Value::macro(runtime_.arena.make<Macro>(&body, scope_));
}

// --- Output --------------------------------------------------------------------------------------

Result<> Interpreter::write(std::string_view text) {
  if (text.size() > runtime_.limits().output_bytes_max - output_.size()) {
    return fail(Code::kOutOfBudget, fmt::format("the template writes more than {} bytes",
                                                runtime_.limits().output_bytes_max));
  }
  output_.append(text);
  return {};
}

Result<> Interpreter::print(const Value& value) {
  HEARTH_TRY(const Value text, to_str(runtime_, value));
  return write(text.text());
}

// What a filter block or a call block gives must be text already.
Result<> Interpreter::print_text(const Value& value) {
  if (value.is_string()) return write(value.text());
  return template_error(fmt::format("a block gives '{}' where text is due", type_name(value)));
}

// The output since `from`, taken back as a value.
Result<Value> Interpreter::cut_output(std::size_t from) {
  const std::string_view part = std::string_view(output_).substr(from);
  HEARTH_TRY_VOID(runtime_.reserve(1, part.size()));
  HEARTH_TRY_VOID(runtime_.charge_text(part.size()));
  const Value text = runtime_.string(part);
  output_.resize(from);
  return text;
}

// --- Statements ----------------------------------------------------------------------------------

Result<> Interpreter::run() {
  for (const NameId name : program_.scope->hidden) assign(name, Value::missing());
  HEARTH_TRY_VOID(run_list(program_.body));
  return {};
}

Result<Interpreter::Flow> Interpreter::run_list(StmtList statements) {
  for (const Stmt* statement : statements) {
    HEARTH_TRY(const Flow flow, run(*statement));
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

namespace {

template <class Node>
const Node& as(const Stmt& statement) {
  return static_cast<const Node&>(statement);
}

}  // namespace

Result<Interpreter::Flow> Interpreter::run(const Stmt& statement) {
  const Level level(depth_);
  if (depth_ > kEvaluationDepthMax) {
    return template_error(
        fmt::format("evaluation nests deeper than {} levels", kEvaluationDepthMax));
  }
  line_ = statement.line;
  HEARTH_TRY_VOID(runtime_.charge(1));
  switch (statement.kind) {
    case StmtKind::kText:
      HEARTH_TRY_VOID(write(as<TextStmt>(statement).text));
      break;
    case StmtKind::kOutput: {
      HEARTH_TRY(const Value value, eval(*as<OutputStmt>(statement).value));
      HEARTH_TRY_VOID(print(value));
      break;
    }
    case StmtKind::kIf:
      return run_if(as<IfStmt>(statement));
    case StmtKind::kFor:
      HEARTH_TRY_VOID(run_for(as<ForStmt>(statement)));
      break;
    case StmtKind::kSet:
      HEARTH_TRY_VOID(run_set(as<SetStmt>(statement)));
      break;
    case StmtKind::kSetBlock:
      return run_set_block(as<SetBlockStmt>(statement));
    case StmtKind::kMacro:
      assign(as<MacroStmt>(statement).name, make_macro(*as<MacroStmt>(statement).macro));
      break;
    case StmtKind::kCall:
      HEARTH_TRY_VOID(run_call(as<CallStmt>(statement)));
      break;
    case StmtKind::kFilter:
      return run_filter(as<FilterStmt>(statement));
    case StmtKind::kWith:
      return run_with(as<WithStmt>(statement));
    case StmtKind::kScope:
      return run_scope(as<ScopeStmt>(statement), scope_);
    case StmtKind::kBlock: {
      const auto& block = as<ScopeStmt>(statement);
      return run_scope(block, block.sees_outer ? scope_ : nullptr);
    }
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

Result<Interpreter::Flow> Interpreter::run_if(const IfStmt& statement) {
  for (const Branch& branch : statement.branches) {
    if (branch.condition) {
      HEARTH_TRY(const Value condition, eval(*branch.condition));
      if (!truth(condition)) continue;
    }
    return run_list(branch.body);
  }
  return Flow::kNext;
}

Result<> Interpreter::run_set(const SetStmt& statement) {
  HEARTH_TRY(const Value value, eval(*statement.value));
  return assign(*statement.target, value);
}

Result<Interpreter::Flow> Interpreter::run_set_block(const SetBlockStmt& statement) {
  const std::size_t start = output_.size();
  Value text;
  {
    const Inside inside(*this, new_scope(scope_, statement.scope));
    HEARTH_TRY(const Flow flow, run_list(statement.body));
    HEARTH_TRY(text, cut_output(start));
    // Leaving the loop from inside the block loses its text and sets nothing.
    if (flow != Flow::kNext) return flow;
    if (statement.filter) {
      block_text_ = text;
      HEARTH_TRY(text, eval(*statement.filter));
    }
  }
  HEARTH_TRY_VOID(assign(*statement.target, text));
  return Flow::kNext;
}

Result<Interpreter::Flow> Interpreter::run_filter(const FilterStmt& statement) {
  const std::size_t start = output_.size();
  const Inside inside(*this, new_scope(scope_, statement.scope));
  HEARTH_TRY(const Flow flow, run_list(statement.body));
  HEARTH_TRY(block_text_, cut_output(start));
  if (flow != Flow::kNext) return flow;
  HEARTH_TRY(const Value filtered, eval(*statement.filter));
  HEARTH_TRY_VOID(print_text(filtered));
  return Flow::kNext;
}

Result<> Interpreter::run_call(const CallStmt& statement) {
  const Value caller = make_macro(*statement.caller);
  HEARTH_TRY(const Value result, eval_call(*statement.call, caller));
  return print_text(result);
}

Result<Interpreter::Flow> Interpreter::run_with(const WithStmt& statement) {
  HEARTH_TRY(const std::vector<Value> values, eval_all(statement.values));
  const Inside inside(*this, new_scope(scope_, statement.scope));
  for (std::size_t i = 0; i < values.size(); ++i) {
    HEARTH_TRY_VOID(assign(*statement.targets[i], values[i]));
  }
  return run_list(statement.body);
}

Result<Interpreter::Flow> Interpreter::run_scope(const ScopeStmt& statement, Scope* parent) {
  const Inside inside(*this, new_scope(parent, statement.scope));
  return run_list(statement.body);
}

// --- Loops ---------------------------------------------------------------------------------------

Result<> Interpreter::run_for(const ForStmt& statement) {
  HEARTH_TRY(const Value source, eval(*statement.source));
  return loop_over(statement, source, 0);
}

Result<> Interpreter::loop_over(const ForStmt& node, const Value& source, std::int64_t depth0) {
  HEARTH_TRY(const Iteration items, Iteration::over(source));
  auto* loop =
      runtime_.arena.make<LoopState>(this, &node, scope_, items, source, std::int64_t{-1}, depth0);
  Scope* outer = scope_;
  Scope* scope = new_scope(outer, nullptr);
  bool was_finished = false;  // Some iteration ran to its end.
  while (true) {
    HEARTH_TRY(const bool has_item, advance(*loop));
    if (!has_item) break;
    if (scope->is_captured) scope = new_scope(outer, nullptr);
    scope->size = 0;
    hide_names(*scope, node.scope);
    const Inside inside(*this, scope);
    assign(program_.loop, Value::loop(loop));
    HEARTH_TRY_VOID(assign(*node.target, loop->item));
    HEARTH_TRY(const Flow flow, run_list(node.body));
    if (flow == Flow::kBreak) break;
    if (flow == Flow::kNext) was_finished = true;
  }
  // As in Jinja, an iteration that `continue` or `break` cut short does not count.
  if (was_finished || node.otherwise.empty()) return {};
  const Inside inside(*this, new_scope(outer, node.otherwise_scope));
  HEARTH_TRY_VOID(run_list(node.otherwise));
  return {};
}

Result<bool> Interpreter::passes_filter(LoopState& loop, const Value& item) {
  const Inside inside(*this, new_scope(loop.outer, nullptr));
  HEARTH_TRY_VOID(assign(*loop.node->target, item));
  HEARTH_TRY(const Value verdict, eval(*loop.node->filter));
  return truth(verdict);
}

// The next item that passes the loop's filter; missing at the end.
Result<Value> Interpreter::pull(LoopState& loop) {
  if (loop.buffered) {
    if (loop.n_unbuffered == loop.buffered->size) return Value::missing();
    return loop.buffered->items[loop.n_unbuffered++];
  }
  Value item;
  while (loop.items.next(runtime_, item)) {
    HEARTH_TRY_VOID(runtime_.charge(1));
    if (!loop.node->filter) return item;
    HEARTH_TRY(const bool passes, passes_filter(loop, item));
    if (passes) return item;
  }
  return Value::missing();
}

Result<bool> Interpreter::advance(LoopState& loop) {
  HEARTH_TRY(const Value next, loop_following(loop));
  if (next.is_missing()) return false;
  loop.following = Value::missing();
  loop.previous = loop.item;
  loop.item = next;
  ++loop.index0;
  return true;
}

Result<Value> Interpreter::loop_following(LoopState& loop) {
  if (loop.following.is_missing()) {
    HEARTH_TRY(loop.following, pull(loop));
  }
  return loop.following;
}

Result<std::int64_t> Interpreter::loop_length(LoopState& loop) {
  if (loop.length >= 0) return loop.length;
  if (!loop.node->filter && !loop.source.is(Kind::kIterator)) {
    HEARTH_TRY(loop.length, length(loop.source));
    return loop.length;
  }
  // A generator or a filtered loop: what is left must be pulled out to be counted.
  std::vector<Value> rest;
  while (true) {
    HEARTH_TRY(const Value item, pull(loop));
    if (item.is_missing()) break;
    rest.push_back(item);
  }
  const std::int64_t ahead = loop.following.is_missing() ? 0 : 1;
  HEARTH_TRY(loop.buffered, runtime_.sequence(rest));
  loop.length = static_cast<std::int64_t>(rest.size()) + loop.index0 + 1 + ahead;
  return loop.length;
}

}  // namespace hearth::text::jinja
