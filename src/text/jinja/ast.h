// The tree that a template becomes.
//
// Nodes live in the Program's Arena and are trivially destructible: a template of any shape is
// freed without recursion.  Each kind is a struct that derives from Expr or Stmt and is told
// apart by `kind`; the interpreter has one function for each.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "text/jinja/operators.h"
#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace hearth::text::jinja {

// A variable's name, as its index in Program::names.
enum class NameId : std::uint32_t {};

// Names that are undefined where a scope begins, even if the context has them: Jinja gives a name
// that a scope assigns before it mentions it otherwise a variable of its own from the start.
struct ScopeInfo {
  std::span<const NameId> hidden;
};

// --- Expressions -------------------------------------------------------------------------------

enum class ExprKind : std::uint8_t {
  kConstant,
  kName,
  kList,
  kTuple,
  kDict,
  kNegate,
  kAffirm,
  kNot,
  kAnd,
  kOr,
  kBinary,
  kCompare,
  kConcat,
  kConditional,
  kAttribute,
  kItem,
  kSlice,
  kCall,
  kFilter,
  kTest,
};

struct Expr {
  ExprKind kind;
  std::uint32_t line;
};

using ExprList = std::span<const Expr* const>;

struct ConstantExpr : Expr {
  Value value;
};

struct NameExpr : Expr {
  NameId name;
};

// A list or tuple literal, or the operands of `~`.
struct ListExpr : Expr {
  ExprList items;
};

struct DictExpr : Expr {
  ExprList keys;
  ExprList values;
};

struct UnaryExpr : Expr {
  const Expr* operand;
};

struct BinaryExpr : Expr {
  BinaryOp op;
  const Expr* left;
  const Expr* right;
};

// `and` and `or`.
struct LogicExpr : Expr {
  const Expr* left;
  const Expr* right;
};

enum class CompareOp : std::uint8_t {
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn,
};

struct CompareStep {
  CompareOp op;
  const Expr* right;
};

struct CompareExpr : Expr {
  const Expr* first;
  std::span<const CompareStep> steps;
};

struct ConditionalExpr : Expr {
  const Expr* condition;
  const Expr* then;
  const Expr* otherwise;  // Null: undefined.
};

struct AttributeExpr : Expr {
  const Expr* object;
  std::string_view name;
};

struct ItemExpr : Expr {
  const Expr* object;
  const Expr* key;
};

struct SliceExpr : Expr {
  const Expr* object;
  const Expr* start;  // Each may be null.
  const Expr* stop;
  const Expr* step;
};

struct KeywordExpr {
  std::string_view name;
  const Expr* value;
};

struct ArgumentList {
  ExprList positional;
  std::span<const KeywordExpr> named;
  const Expr* more_positional = nullptr;  // *args
  const Expr* more_named = nullptr;       // **kwargs
};

struct CallExpr : Expr {
  const Expr* callee;
  ArgumentList arguments;
};

// A filter or a test.  `function` is null for a name that we do not know: using it fails, but
// a template may guard it with a condition.
struct FilterExpr : Expr {
  const Expr* input;  // Null in a filter block: its text.
  std::string_view name;
  const NativeFunction* function;
  ArgumentList arguments;
};

// --- Statements --------------------------------------------------------------------------------

enum class StmtKind : std::uint8_t {
  kText,
  kOutput,
  kIf,
  kFor,
  kSet,
  kSetBlock,
  kMacro,
  kCall,
  kFilter,
  kWith,
  kScope,
  kBlock,
  kBreak,
  kContinue,
};

struct Stmt {
  StmtKind kind;
  std::uint32_t line;
};

using StmtList = std::span<const Stmt* const>;

enum class TargetKind : std::uint8_t { kName, kAttribute, kTuple };

// What an assignment writes: a name, a namespace's attribute, or several of these.
struct Target {
  TargetKind kind;
  NameId name;
  std::string_view attribute;
  std::span<const Target* const> items;
};

struct TextStmt : Stmt {
  std::string_view text;
};

struct OutputStmt : Stmt {
  const Expr* value;
};

struct Branch {
  const Expr* condition;  // Null for `else`.
  StmtList body;
};

struct IfStmt : Stmt {
  std::span<const Branch> branches;
};

struct ForStmt : Stmt {
  const Target* target;
  const Expr* source;
  const Expr* filter;  // Null: every item.
  bool is_recursive;
  StmtList body;
  const ScopeInfo* scope;
  StmtList otherwise;
  const ScopeInfo* otherwise_scope;
};

struct SetStmt : Stmt {
  const Target* target;
  const Expr* value;
};

// `filter` is a chain of FilterExpr whose innermost input is null; or null.
struct SetBlockStmt : Stmt {
  const Target* target;
  const Expr* filter;
  StmtList body;
  const ScopeInfo* scope;
};

struct Parameter {
  NameId name;
  std::string_view text;
  const Expr* fallback;  // Null: none.
};

// What a macro and the body of a call block share.
struct MacroBody {
  std::string_view name;  // Empty for a call block.
  std::span<const Parameter> parameters;
  StmtList body;
  const ScopeInfo* scope = nullptr;
  bool uses_caller = false;
  bool uses_kwargs = false;
  bool uses_varargs = false;
  bool has_caller_parameter = false;
};

struct MacroStmt : Stmt {
  NameId name;
  const MacroBody* macro;
};

struct CallStmt : Stmt {
  const CallExpr* call;
  const MacroBody* caller;
};

struct FilterStmt : Stmt {
  const Expr* filter;
  StmtList body;
  const ScopeInfo* scope;
};

struct WithStmt : Stmt {
  std::span<const Target* const> targets;
  ExprList values;
  StmtList body;
  const ScopeInfo* scope;
};

// A body with a scope of its own (`{% generation %}`), and `{% block %}`, which sees only the
// template's own variables unless it is scoped.
struct ScopeStmt : Stmt {
  bool sees_outer;
  StmtList body;
  const ScopeInfo* scope;
};

}  // namespace hearth::text::jinja
