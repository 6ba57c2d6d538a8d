// Runs a Program: walks its tree, evaluates expressions, appends to the output.
//
// Variables.  The template's own variables live in one array by NameId, which starts with the
// context and the global functions.  Loops, macros, blocks that capture, and `with` add scopes
// to a chain; assignments write to the innermost one, as Jinja has it.  A macro keeps the chain
// that it was defined in.
//
// Output.  One string for the whole render: what captures (macros, set blocks, filter blocks)
// notes where the string ends, runs, and cuts its part off.
//
// statements.cpp runs statements, expressions.cpp evaluates, calls.cpp calls macros and loops.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "text/jinja/ast.h"
#include "text/jinja/operators.h"
#include "text/jinja/program.h"
#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace hearth::text::jinja {

// How deep evaluation may nest: expressions in statements in macros that call macros.  A level
// costs well under 2 KiB of stack.
inline constexpr unsigned kEvaluationDepthMax = 1000;

struct Binding {
  NameId name;
  Value value;
};

// Variables of one loop iteration, macro call or block.
struct Scope {
  Scope* parent;  // Null: the template's own variables follow.
  Binding* bindings = nullptr;
  std::uint32_t size = 0;
  std::uint32_t capacity = 0;
  bool is_captured = false;  // A macro kept it: it can't be used again.

  const Value* find(NameId name) const;
  void set(Arena& arena, NameId name, const Value& value);
};

// A macro, or the body of a call block.
struct Macro {
  const MacroBody* body;
  Scope* scope;  // Where it was defined.
};

class Interpreter;

// What `loop` is inside a for loop.
struct LoopState {
  Interpreter* interpreter;
  const ForStmt* node;
  Scope* outer;  // Where the loop stands: a recursive call runs there.
  Iteration items;
  Value source;
  std::int64_t index0 = -1;
  std::int64_t depth0 = 0;
  std::int64_t length = -1;            // -1: not asked for yet.
  const Sequence* buffered = nullptr;  // Items that asking for the length pulled out early.
  std::uint32_t n_unbuffered = 0;
  Value previous, item, following;  // Missing where there is none.
  Value last_changed;
};

class Interpreter {
 public:
  // `variables` are the template's own at the start, one per name of the program.
  Interpreter(const Program& program, Runtime& runtime, std::vector<Value> variables)
      : program_(program), runtime_(runtime), variables_(std::move(variables)) {}

  Result<> run();

  std::string take_output() { return std::move(output_); }
  // Of the node that was evaluated last: where an error happened.
  std::uint32_t line() const { return line_; }

  // For loop.length, loop.last and their like.
  Result<std::int64_t> loop_length(LoopState& loop);
  // The item after the current one; missing at the end.
  Result<Value> loop_following(LoopState& loop);

 private:
  // Where control goes after a statement.
  enum class Flow : std::uint8_t { kNext, kBreak, kContinue };

  // What a call collected from its argument list.
  struct Collected {
    std::vector<Value> positional;
    std::vector<NamedArgument> named;
    CallArguments view() const { return {positional, named}; }
  };

  // Replaces the current scope while it lives.
  class Inside {
   public:
    Inside(Interpreter& interpreter, Scope* scope)
        : interpreter_(interpreter), outer_(interpreter.scope_) {
      interpreter.scope_ = scope;
    }
    ~Inside() { interpreter_.scope_ = outer_; }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    Interpreter& interpreter_;
    Scope* outer_;
  };

  // --- Statements
  Result<Flow> run_list(StmtList statements);
  Result<Flow> run(const Stmt& statement);
  Result<Flow> run_if(const IfStmt& statement);
  Result<Flow> run_with(const WithStmt& statement);
  Result<Flow> run_scope(const ScopeStmt& statement, Scope* parent);
  Result<> run_for(const ForStmt& statement);
  Result<> run_set(const SetStmt& statement);
  Result<Flow> run_set_block(const SetBlockStmt& statement);
  Result<Flow> run_filter(const FilterStmt& statement);
  Result<> run_call(const CallStmt& statement);
  Result<> print(const Value& value);
  Result<> print_text(const Value& value);
  Result<> write(std::string_view text);
  Result<Value> cut_output(std::size_t from);

  // --- Loops
  Result<> loop_over(const ForStmt& node, const Value& source, std::int64_t depth0);
  Result<Value> pull(LoopState& loop);
  Result<bool> passes_filter(LoopState& loop, const Value& item);
  Result<bool> advance(LoopState& loop);
  Result<Value> call_loop(LoopState& loop, const CallArguments& arguments);

  // --- Variables
  Value lookup(NameId name) const;
  Value or_undefined(const Value& value, NameId name) const;
  void assign(NameId name, const Value& value);
  Result<> assign(const Target& target, const Value& value);
  Result<> assign_tuple(const Target& target, const Value& value);
  Result<> assign_attribute(const Target& target, const Value& value);
  // `info` may be null: no hidden names.
  Scope* new_scope(Scope* parent, const ScopeInfo* info);
  void hide_names(Scope& scope, const ScopeInfo* info);
  Value make_macro(const MacroBody& body);

  // --- Expressions
  Result<Value> eval(const Expr& expr);
  Result<Value> eval_optional(const Expr* expr);
  Result<std::vector<Value>> eval_all(ExprList list);
  Result<Value> eval_list(const ListExpr& expr);
  Result<Value> eval_dict(const DictExpr& expr);
  Result<Value> eval_logic(const LogicExpr& expr);
  Result<Value> eval_binary(const BinaryExpr& expr);
  Result<Value> eval_compare(const CompareExpr& expr);
  Result<bool> compare(CompareOp op, const Value& left, const Value& right);
  Result<Value> eval_concat(const ListExpr& expr);
  Result<Value> eval_conditional(const ConditionalExpr& expr);
  Result<Value> eval_item(const ItemExpr& expr);
  Result<Value> eval_slice(const SliceExpr& expr);
  Result<Value> eval_call(const CallExpr& expr, const Value& caller);
  Result<Value> eval_filter(const FilterExpr& expr);
  Result<Collected> collect_arguments(const ArgumentList& list);
  Result<> collect_more(const ArgumentList& list, Collected& collected);

  // --- Calls
  Result<Value> call(const Value& callee, const CallArguments& arguments);
  Result<Value> call_macro(const Macro& macro, const CallArguments& arguments);
  Result<> bind_parameters(const MacroBody& body, const CallArguments& arguments, Scope& scope);
  Result<> bind_extras(const MacroBody& body, const CallArguments& arguments, Scope& scope);

  const Program& program_;
  Runtime& runtime_;
  std::vector<Value> variables_;
  Scope* scope_ = nullptr;
  std::string output_;
  Value block_text_;  // What the innermost filter of a filter block filters.
  std::uint32_t line_ = 1;
  unsigned depth_ = 0;
};

// Python's repr of a macro.
std::string describe(const Macro& macro);

// Attributes of `loop` and of macros; missing where there is none of the name.
Result<Value> loop_attribute(Runtime& runtime, LoopState& loop, std::string_view name);
Result<Value> macro_attribute(Runtime& runtime, const Macro& macro, std::string_view name);

}  // namespace hearth::text::jinja
