// Tokens to the tree of ast.h: a recursive-descent parser with Jinja 3.1's grammar.
//
// parse_statement.cpp has the tags, parse_expression.cpp the expressions.
#pragma once

#include <deque>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "text/jinja/ast.h"
#include "text/jinja/lexer.h"
#include "text/jinja/program.h"

namespace hearth::text::jinja {

class Parser {
 public:
  Parser(std::vector<Token> tokens, Program& program);

  Result<> parse_template();

 private:
  using ExprResult = Result<const Expr*>;
  using StmtResult = Result<const Stmt*>;
  using TagParser = StmtResult (Parser::*)();

  // The names that one scope mentions, for ScopeInfo.
  struct Frame {
    Frame* parent;  // Null for the template and for blocks.
    ScopeInfo* info;
    // Whether the first mention is an assignment that always happens.
    std::unordered_map<std::uint32_t, bool> assigned_first;
    unsigned branch_depth = 0;  // Branches of `if` around this point, within the scope.
  };

  // Parses inside of a frame while it lives.
  class InFrame {
   public:
    InFrame(Parser& parser, Frame* frame) : parser_(parser), outer_(parser.frame_) {
      parser_.frame_ = frame;
    }
    ~InFrame() { parser_.frame_ = outer_; }
    InFrame(const InFrame&) = delete;
    InFrame& operator=(const InFrame&) = delete;

   private:
    Parser& parser_;
    Frame* outer_;
  };

  // --- Tokens
  const Token& current() const { return tokens_[position_]; }
  const Token& look_ahead() const {
    return tokens_[position_ + 1 < tokens_.size() ? position_ + 1 : position_];
  }
  const Token& take() {
    return current().kind == TokenKind::kEnd ? current() : tokens_[position_++];
  }
  bool at(TokenKind kind) const { return current().kind == kind; }
  bool at_op(std::string_view op) const { return at(TokenKind::kOperator) && current().text == op; }
  bool at_name(std::string_view name) const {
    return at(TokenKind::kName) && current().text == name;
  }
  bool skip_op(std::string_view op);
  bool skip_name(std::string_view name);
  Result<> expect_op(std::string_view op);
  Result<> expect_name(std::string_view name);
  Result<> expect(TokenKind kind, std::string_view what);
  Result<Token> expect_identifier();
  std::unexpected<Error> unexpected(std::string_view wanted) const;
  Result<> check_depth() const;

  // --- Scopes (scope_names.cpp)
  Frame* open_frame(Frame* parent);
  void mention(NameId name, bool is_assigned = false);
  void mention_target(const Target& target, bool is_parameter);
  void hide_names();

  // --- Building
  NameId intern(std::string_view name);
  template <class T>
  std::span<const T> keep(const std::vector<T>& items) {
    return program_.arena.copy(std::span<const T>(items));
  }
  template <class Node, class... Fields>
  const Node* make(Fields&&... fields) {
    return program_.arena.make<Node>(std::forward<Fields>(fields)...);
  }

  // --- Statements (parse_statement.cpp)
  Result<StmtList> parse_body(std::initializer_list<std::string_view> end_tags);
  Result<StmtList> parse_tag_body(std::initializer_list<std::string_view> end_tags);
  Result<StmtList> parse_last_body(std::string_view end_tag);
  StmtResult parse_tag();
  StmtResult parse_if();
  StmtResult parse_for();
  StmtResult parse_set();
  StmtResult parse_macro();
  StmtResult parse_call();
  StmtResult parse_filter();
  StmtResult parse_with();
  StmtResult parse_block();
  StmtResult parse_print();
  StmtResult parse_generation();
  StmtResult parse_autoescape();
  StmtResult parse_loop_control();
  StmtResult refuse_tag();
  Result<Branch> parse_branch();
  Result<std::span<const Parameter>> parse_parameters();
  Result<std::span<const Parameter>> parse_parameters_in(Frame* frame);
  Result<StmtList> parse_loop_body(const Target& target, Frame* frame);
  Result<const MacroBody*> parse_macro_body(std::string_view name,
                                            std::span<const Parameter> parameters,
                                            std::string_view end_tag, Frame* frame);
  Result<const ScopeStmt*> parse_scope(StmtKind kind, std::uint32_t line, bool sees_outer,
                                       std::string_view end_tag);
  Result<const Target*> parse_target(bool allow_attributes);
  Result<const Target*> parse_single_target(bool allow_attributes);

  // --- Expressions (parse_expression.cpp), loosest binding first
  ExprResult parse_tuple(bool with_conditional, bool in_parentheses = false,
                         std::string_view end_name = {});
  ExprResult parse_expression(bool with_conditional = true);
  ExprResult parse_conditional();
  ExprResult parse_or();
  ExprResult parse_and();
  ExprResult parse_not();
  ExprResult parse_compare();
  Result<bool> parse_compare_step(std::vector<CompareStep>& steps);
  ExprResult parse_sum();
  ExprResult parse_concat();
  ExprResult parse_product();
  ExprResult parse_power();
  ExprResult parse_unary(bool with_filter = true);
  ExprResult parse_primary();
  ExprResult parse_name();
  ExprResult parse_string();
  ExprResult parse_integer();
  ExprResult parse_float();
  ExprResult parse_list();
  ExprResult parse_dict();
  ExprResult parse_postfix(const Expr* object);
  ExprResult parse_filters_and_tests(const Expr* input);
  ExprResult parse_subscript(const Expr* object);
  ExprResult parse_brackets(const Expr* object, std::uint32_t line);
  ExprResult parse_slice(const Expr* object, const Expr* start, std::uint32_t line);
  ExprResult parse_call_of(const Expr* callee);
  Result<ArgumentList> parse_arguments();
  ExprResult parse_one_filter(const Expr* input);
  ExprResult parse_filter_chain(const Expr* input);
  ExprResult parse_test(const Expr* input);
  Result<std::string_view> parse_dotted_name();
  bool at_tuple_end(std::string_view end_name) const;
  bool at_test_argument() const;

  std::vector<Token> tokens_;
  Program& program_;
  std::size_t position_ = 0;
  unsigned depth_ = 0;
  unsigned loop_depth_ = 0;  // Loops around this point, within the same macro.
  std::unordered_map<std::string_view, NameId> ids_;
  std::vector<MacroBody*> open_macros_;
  std::deque<Frame> frames_;
  Frame* frame_ = nullptr;
};

}  // namespace hearth::text::jinja
