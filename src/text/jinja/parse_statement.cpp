// Tags and the bodies between them (parser.h).
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "text/jinja/parser.h"

namespace hearth::text::jinja {

namespace {

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::kData:
      return "text";
    case TokenKind::kBlockBegin:
      return "'{%'";
    case TokenKind::kBlockEnd:
      return "'%}'";
    case TokenKind::kVariableBegin:
      return "'{{'";
    case TokenKind::kVariableEnd:
      return "'}}'";
    case TokenKind::kEnd:
      return "the end of the template";
    default:
      return fmt::format("'{}'", token.text);
  }
}

}  // namespace

Parser::Parser(std::vector<Token> tokens, Program& program)
    : tokens_(std::move(tokens)), program_(program) {
  program_.loop = intern("loop");
  program_.caller = intern("caller");
  program_.kwargs = intern("kwargs");
  program_.varargs = intern("varargs");
}

NameId Parser::intern(std::string_view name) {
  const auto next = static_cast<NameId>(program_.names.size());
  const auto [found, is_new] = ids_.emplace(name, next);
  if (is_new) program_.names.push_back(name);
  return found->second;
}

std::unexpected<Error> Parser::unexpected(std::string_view wanted) const {
  return syntax_error(current().line,
                      fmt::format("expected {}, found {}", wanted, describe(current())));
}

Result<> Parser::check_depth() const {
  if (depth_ <= kSyntaxDepthMax) return {};
  return syntax_error(current().line,
                      fmt::format("the template nests deeper than {} levels", kSyntaxDepthMax));
}

bool Parser::skip_op(std::string_view op) { return at_op(op) && (take(), true); }
bool Parser::skip_name(std::string_view name) { return at_name(name) && (take(), true); }

Result<> Parser::expect_op(std::string_view op) {
  if (skip_op(op)) return {};
  return unexpected(fmt::format("'{}'", op));
}

Result<> Parser::expect_name(std::string_view name) {
  if (skip_name(name)) return {};
  return unexpected(fmt::format("'{}'", name));
}

Result<> Parser::expect(TokenKind kind, std::string_view what) {
  if (!at(kind)) return unexpected(what);
  take();
  return {};
}

Result<Token> Parser::expect_identifier() {
  if (!at(TokenKind::kName)) return unexpected("a name");
  return take();
}

Result<> Parser::parse_template() {
  frame_ = open_frame(nullptr);
  program_.scope = frame_->info;
  HEARTH_TRY(program_.body, parse_body({}));
  hide_names();
  return {};
}

// Statements up to a tag of `end_tags`, whose name is then the current token; or to the end of
// the template if there are none.
Result<StmtList> Parser::parse_body(std::initializer_list<std::string_view> end_tags) {
  const Level level(depth_);
  HEARTH_TRY_VOID(check_depth());
  std::vector<const Stmt*> body;
  while (!at(TokenKind::kEnd)) {
    const Token token = take();
    if (token.kind == TokenKind::kData) {
      body.push_back(make<TextStmt>(Stmt{StmtKind::kText, token.line}, token.text));
    } else if (token.kind == TokenKind::kVariableBegin) {
      HEARTH_TRY(const Expr* value, parse_tuple(true));
      HEARTH_TRY_VOID(expect(TokenKind::kVariableEnd, "'}}'"));
      body.push_back(make<OutputStmt>(Stmt{StmtKind::kOutput, token.line}, value));
    } else {
      const bool is_end = at(TokenKind::kName) && std::find(end_tags.begin(), end_tags.end(),
                                                            current().text) != end_tags.end();
      if (is_end) return keep(body);
      HEARTH_TRY(const Stmt* statement, parse_tag());
      body.push_back(statement);
      HEARTH_TRY_VOID(expect(TokenKind::kBlockEnd, "'%}'"));
    }
  }
  for (const std::string_view end_tag : end_tags) {
    if (!end_tag.starts_with("end")) continue;
    return syntax_error(current().line,
                        fmt::format("the template ends where '{}' was due", end_tag));
  }
  return keep(body);
}

// The same, from inside of the tag that opens the body.
Result<StmtList> Parser::parse_tag_body(std::initializer_list<std::string_view> end_tags) {
  skip_op(":");
  HEARTH_TRY_VOID(expect(TokenKind::kBlockEnd, "'%}'"));
  return parse_body(end_tags);
}

// The same, and takes the end tag's name.
Result<StmtList> Parser::parse_last_body(std::string_view end_tag) {
  HEARTH_TRY(const StmtList body, parse_tag_body({end_tag}));
  take();
  return body;
}

Parser::StmtResult Parser::parse_tag() {
  struct Tag {
    std::string_view name;
    TagParser parse;
  };
  static constexpr Tag kTags[] = {
      {"if", &Parser::parse_if},
      {"for", &Parser::parse_for},
      {"set", &Parser::parse_set},
      {"macro", &Parser::parse_macro},
      {"call", &Parser::parse_call},
      {"filter", &Parser::parse_filter},
      {"with", &Parser::parse_with},
      {"block", &Parser::parse_block},
      {"print", &Parser::parse_print},
      {"generation", &Parser::parse_generation},
      {"autoescape", &Parser::parse_autoescape},
      {"break", &Parser::parse_loop_control},
      {"continue", &Parser::parse_loop_control},
      {"extends", &Parser::refuse_tag},
      {"include", &Parser::refuse_tag},
      {"import", &Parser::refuse_tag},
      {"from", &Parser::refuse_tag},
  };
  if (!at(TokenKind::kName)) return unexpected("the name of a tag");
  for (const Tag& tag : kTags) {
    if (tag.name == current().text) return (this->*tag.parse)();
  }
  return syntax_error(current().line, fmt::format("unknown tag '{}'", current().text));
}

Parser::StmtResult Parser::refuse_tag() {
  return syntax_error(
      current().line,
      fmt::format("'{}' needs other templates, and a model carries only one", current().text));
}

Result<Branch> Parser::parse_branch() {
  HEARTH_TRY(const Expr* condition, parse_tuple(false));
  const Level level(frame_->branch_depth);
  HEARTH_TRY(const StmtList body, parse_tag_body({"elif", "else", "endif"}));
  return Branch{condition, body};
}

Parser::StmtResult Parser::parse_if() {
  const std::uint32_t line = take().line;
  std::vector<Branch> branches;
  HEARTH_TRY(Branch branch, parse_branch());
  branches.push_back(branch);
  while (skip_name("elif")) {
    HEARTH_TRY(branch, parse_branch());
    branches.push_back(branch);
  }
  if (skip_name("else")) {
    const Level level(frame_->branch_depth);
    HEARTH_TRY(const StmtList body, parse_last_body("endif"));
    branches.push_back({nullptr, body});
  } else {
    HEARTH_TRY_VOID(expect_name("endif"));
  }
  return make<IfStmt>(Stmt{StmtKind::kIf, line}, keep(branches));
}

Parser::StmtResult Parser::parse_for() {
  const std::uint32_t line = take().line;
  HEARTH_TRY(const Target* target, parse_target(false));
  HEARTH_TRY_VOID(expect_name("in"));
  HEARTH_TRY(const Expr* source, parse_tuple(false, false, "recursive"));
  const Expr* filter = nullptr;
  if (skip_name("if")) {
    const InFrame inside(*this, open_frame(frame_));
    mention_target(*target, true);
    HEARTH_TRY(filter, parse_expression());
  }
  const bool is_recursive = skip_name("recursive");
  Frame* frame = open_frame(frame_);
  HEARTH_TRY(const StmtList body, parse_loop_body(*target, frame));
  StmtList otherwise;
  Frame* otherwise_frame = open_frame(frame_);
  if (take().text == "else") {
    const InFrame inside(*this, otherwise_frame);
    HEARTH_TRY(otherwise, parse_last_body("endfor"));
  }
  return make<ForStmt>(Stmt{StmtKind::kFor, line}, target, source, filter, is_recursive, body,
                       frame->info, otherwise, otherwise_frame->info);
}

// The body of a loop; the current token is then the name of the tag that ends it.
Result<StmtList> Parser::parse_loop_body(const Target& target, Frame* frame) {
  const InFrame inside(*this, frame);
  const Level level(loop_depth_);
  mention(program_.loop);
  mention_target(target, true);
  return parse_tag_body({"endfor", "else"});
}

Result<const Target*> Parser::parse_single_target(bool allow_attributes) {
  if (skip_op("(")) {
    const Level level(depth_);
    HEARTH_TRY_VOID(check_depth());
    HEARTH_TRY(const Target* inner, parse_target(allow_attributes));
    HEARTH_TRY_VOID(expect_op(")"));
    return inner;
  }
  HEARTH_TRY(const Token name, expect_identifier());
  static constexpr std::string_view kConstants[] = {"true", "false", "none",
                                                    "True", "False", "None"};
  if (std::find(std::begin(kConstants), std::end(kConstants), name.text) != std::end(kConstants)) {
    return syntax_error(name.line, fmt::format("can't assign to '{}'", name.text));
  }
  if (!allow_attributes || !skip_op(".")) {
    return make<Target>(TargetKind::kName, intern(name.text));
  }
  HEARTH_TRY(const Token attribute, expect_identifier());
  return make<Target>(TargetKind::kAttribute, intern(name.text), attribute.text);
}

Result<const Target*> Parser::parse_target(bool allow_attributes) {
  std::vector<const Target*> items;
  HEARTH_TRY(const Target* target, parse_single_target(allow_attributes));
  if (!at_op(",")) return target;
  items.push_back(target);
  while (skip_op(",")) {
    if (at_name("in") || at_op("=") || at_op(")") || at(TokenKind::kBlockEnd)) break;
    HEARTH_TRY(target, parse_single_target(allow_attributes));
    items.push_back(target);
  }
  return make<Target>(TargetKind::kTuple, NameId{}, std::string_view(), keep(items));
}

Parser::StmtResult Parser::parse_set() {
  const std::uint32_t line = take().line;
  HEARTH_TRY(const Target* target, parse_target(true));
  if (skip_op("=")) {
    HEARTH_TRY(const Expr* value, parse_tuple(true));
    mention_target(*target, false);
    return make<SetStmt>(Stmt{StmtKind::kSet, line}, target, value);
  }
  mention_target(*target, false);
  const InFrame inside(*this, open_frame(frame_));
  HEARTH_TRY(const Expr* filter, parse_filter_chain(nullptr));
  HEARTH_TRY(const StmtList body, parse_last_body("endset"));
  return make<SetBlockStmt>(Stmt{StmtKind::kSetBlock, line}, target, filter, body, frame_->info);
}

Result<std::span<const Parameter>> Parser::parse_parameters() {
  HEARTH_TRY_VOID(expect_op("("));
  std::vector<Parameter> parameters;
  while (!at_op(")")) {
    if (!parameters.empty()) HEARTH_TRY_VOID(expect_op(","));
    HEARTH_TRY(const Token name, expect_identifier());
    Parameter parameter{intern(name.text), name.text, nullptr};
    mention(parameter.name);
    if (skip_op("=")) {
      HEARTH_TRY(parameter.fallback, parse_expression());
    } else if (!parameters.empty() && parameters.back().fallback) {
      return syntax_error(name.line, "a parameter without default follows one with a default");
    } else if (name.text == "caller") {
      return syntax_error(name.line, "a parameter named 'caller' needs a default");
    }
    parameters.push_back(parameter);
  }
  HEARTH_TRY_VOID(expect_op(")"));
  return keep(parameters);
}

Result<const MacroBody*> Parser::parse_macro_body(std::string_view name,
                                                  std::span<const Parameter> parameters,
                                                  std::string_view end_tag, Frame* frame) {
  auto* macro = program_.arena.make<MacroBody>();
  macro->name = name;
  macro->parameters = parameters;
  macro->scope = frame->info;
  const InFrame inside(*this, frame);
  const unsigned loops_outside = std::exchange(loop_depth_, 0);
  open_macros_.push_back(macro);
  auto body = parse_last_body(end_tag);
  open_macros_.pop_back();
  loop_depth_ = loops_outside;
  if (!body) return std::unexpected(std::move(body).error());
  macro->body = *body;
  for (const Parameter& parameter : parameters) {
    if (parameter.text == "caller") macro->has_caller_parameter = true;
    // A parameter of the name hides the special variable.
    if (parameter.text == "kwargs") macro->uses_kwargs = false;
    if (parameter.text == "varargs") macro->uses_varargs = false;
  }
  return macro;
}

// Parameters, read inside the frame of the macro that they belong to.
Result<std::span<const Parameter>> Parser::parse_parameters_in(Frame* frame) {
  const InFrame inside(*this, frame);
  return parse_parameters();
}

Parser::StmtResult Parser::parse_macro() {
  const std::uint32_t line = take().line;
  HEARTH_TRY(const Token name, expect_identifier());
  const NameId id = intern(name.text);
  mention(id, true);
  Frame* frame = open_frame(frame_);
  HEARTH_TRY(const auto parameters, parse_parameters_in(frame));
  HEARTH_TRY(const MacroBody* body, parse_macro_body(name.text, parameters, "endmacro", frame));
  return make<MacroStmt>(Stmt{StmtKind::kMacro, line}, id, body);
}

Parser::StmtResult Parser::parse_call() {
  const std::uint32_t line = take().line;
  std::span<const Parameter> parameters;
  Frame* frame = open_frame(frame_);
  if (at_op("(")) {
    HEARTH_TRY(parameters, parse_parameters_in(frame));
  }
  HEARTH_TRY(const Expr* call, parse_expression());
  if (call->kind != ExprKind::kCall) return syntax_error(line, "'call' needs a call");
  HEARTH_TRY(const MacroBody* body, parse_macro_body({}, parameters, "endcall", frame));
  return make<CallStmt>(Stmt{StmtKind::kCall, line}, static_cast<const CallExpr*>(call), body);
}

Parser::StmtResult Parser::parse_filter() {
  const std::uint32_t line = take().line;
  HEARTH_TRY(const Expr* filter, parse_one_filter(nullptr));
  HEARTH_TRY(filter, parse_filter_chain(filter));
  const InFrame inside(*this, open_frame(frame_));
  HEARTH_TRY(const StmtList body, parse_last_body("endfilter"));
  return make<FilterStmt>(Stmt{StmtKind::kFilter, line}, filter, body, frame_->info);
}

Parser::StmtResult Parser::parse_with() {
  const std::uint32_t line = take().line;
  std::vector<const Target*> targets;
  std::vector<const Expr*> values;
  while (!at(TokenKind::kBlockEnd)) {
    if (!targets.empty()) HEARTH_TRY_VOID(expect_op(","));
    HEARTH_TRY(const Target* target, parse_target(false));
    HEARTH_TRY_VOID(expect_op("="));
    HEARTH_TRY(const Expr* value, parse_expression());
    targets.push_back(target);
    values.push_back(value);
  }
  const InFrame inside(*this, open_frame(frame_));
  for (const Target* target : targets) mention_target(*target, true);
  HEARTH_TRY(const StmtList body, parse_last_body("endwith"));
  return make<WithStmt>(Stmt{StmtKind::kWith, line}, keep(targets), keep(values), body,
                        frame_->info);
}

// A body with a scope of its own; nothing in it may leave a loop around it.
Result<const ScopeStmt*> Parser::parse_scope(StmtKind kind, std::uint32_t line, bool sees_outer,
                                             std::string_view end_tag) {
  const InFrame inside(*this, open_frame(sees_outer ? frame_ : nullptr));
  const unsigned loops_outside = std::exchange(loop_depth_, 0);
  auto body = parse_last_body(end_tag);
  loop_depth_ = loops_outside;
  if (!body) return std::unexpected(std::move(body).error());
  return make<ScopeStmt>(Stmt{kind, line}, sees_outer, *body, frame_->info);
}

Parser::StmtResult Parser::parse_block() {
  const std::uint32_t line = take().line;
  HEARTH_TRY(const Token name, expect_identifier());
  const bool is_scoped = skip_name("scoped");
  HEARTH_TRY(const ScopeStmt* block, parse_scope(StmtKind::kBlock, line, is_scoped, "endblock"));
  skip_name(name.text);
  return block;
}

Parser::StmtResult Parser::parse_print() {
  const std::uint32_t line = take().line;
  std::vector<const Stmt*> outputs;
  while (!at(TokenKind::kBlockEnd)) {
    if (!outputs.empty()) HEARTH_TRY_VOID(expect_op(","));
    HEARTH_TRY(const Expr* value, parse_expression());
    outputs.push_back(make<OutputStmt>(Stmt{StmtKind::kOutput, line}, value));
  }
  return make<ScopeStmt>(Stmt{StmtKind::kScope, line}, true, keep(outputs), nullptr);
}

// `{% generation %}` marks what the assistant wrote, for training; it is a call block whose
// caller is printed as it is.
Parser::StmtResult Parser::parse_generation() {
  const std::uint32_t line = take().line;
  HEARTH_TRY(const Stmt* scope, parse_scope(StmtKind::kScope, line, true, "endgeneration"));
  return scope;
}

Parser::StmtResult Parser::parse_autoescape() {
  const std::uint32_t line = take().line;
  if (!at_name("false") && !at_name("False")) {
    return syntax_error(line, "chat templates are not escaped: only 'autoescape false' is known");
  }
  take();
  const InFrame inside(*this, open_frame(frame_));
  HEARTH_TRY(const StmtList body, parse_last_body("endautoescape"));
  return make<ScopeStmt>(Stmt{StmtKind::kScope, line}, true, body, frame_->info);
}

Parser::StmtResult Parser::parse_loop_control() {
  const Token token = take();
  if (loop_depth_ == 0) {
    return syntax_error(token.line, fmt::format("'{}' outside of a loop", token.text));
  }
  const StmtKind kind = token.text == "break" ? StmtKind::kBreak : StmtKind::kContinue;
  return make<Stmt>(kind, token.line);
}

Result<> parse(std::string_view source, Program& program) {
  HEARTH_TRY(std::vector<Token> tokens, tokenize(source, program.arena));
  return Parser(std::move(tokens), program).parse_template();
}

}  // namespace hearth::text::jinja
