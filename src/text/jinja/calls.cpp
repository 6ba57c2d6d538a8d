// Calling macros, loops and functions, and the attributes of `loop` (interpreter.h).
#include <algorithm>

#include <fmt/format.h>

#include "text/jinja/interpreter.h"
#include "text/jinja/print.h"

namespace hearth::text::jinja {

Result<Value> Interpreter::call(const Value& callee, const CallArguments& arguments) {
  switch (callee.kind()) {
    case Kind::kFunction:
      return invoke(runtime_, *callee.function().function, callee.function().self, arguments);
    case Kind::kMacro:
      return call_macro(callee.macro(), arguments);
    case Kind::kLoop:
      return call_loop(callee.loop(), arguments);
    case Kind::kJoiner: {
      Joiner& joiner = callee.joiner();
      return std::exchange(joiner.used, true) ? joiner.separator : Value::string("");
    }
    case Kind::kUndefined:
      return std::unexpected(undefined_error(callee));
    default:
      return template_error(fmt::format("'{}' object is not callable", type_name(callee)));
  }
}

// --- Macros --------------------------------------------------------------------------------------

namespace {

const Value* find_named(const CallArguments& arguments, std::string_view name) {
  for (const NamedArgument& named : arguments.named) {
    if (named.name == name) return &named.value;
  }
  return nullptr;
}

// Whether a macro takes the argument `name` as one of the parameters that no position filled.
bool takes_by_name(const MacroBody& body, std::size_t n_positional, std::string_view name) {
  for (std::size_t i = n_positional; i < body.parameters.size(); ++i) {
    if (body.parameters[i].text == name) return true;
  }
  return false;
}

}  // namespace

Result<> Interpreter::bind_parameters(const MacroBody& body, const CallArguments& arguments,
                                      Scope& scope) {
  for (std::size_t i = 0; i < body.parameters.size(); ++i) {
    const Parameter& parameter = body.parameters[i];
    Value value;
    if (i < arguments.positional.size()) {
      value = arguments.positional[i];
    } else if (const Value* named = find_named(arguments, parameter.text)) {
      value = *named;
    } else if (parameter.fallback) {
      // Defaults may use the parameters before them.
      HEARTH_TRY(value, eval(*parameter.fallback));
    } else {
      const std::string hint = fmt::format("parameter '{}' was not provided", parameter.text);
      value = Value::undefined(UndefinedBecause::kHint, runtime_.arena.copy(hint));
    }
    scope.set(runtime_.arena, parameter.name, value);
  }
  return {};
}

// `caller`, `kwargs` and `varargs`, where the body uses them; what is left over is an error.
Result<> Interpreter::bind_extras(const MacroBody& body, const CallArguments& arguments,
                                  Scope& scope) {
  const std::size_t n_parameters = body.parameters.size();
  const std::size_t n_positional = std::min(arguments.positional.size(), n_parameters);
  const bool binds_caller = body.uses_caller && !body.has_caller_parameter;
  if (binds_caller) {
    const Value* caller = find_named(arguments, "caller");
    scope.set(runtime_.arena, program_.caller,
              caller ? *caller : Value::undefined(UndefinedBecause::kHint, "No caller defined"));
  }
  auto* extra = runtime_.arena.make<Dict>();
  for (const NamedArgument& named : arguments.named) {
    if (takes_by_name(body, n_positional, named.name)) continue;
    if (binds_caller && named.name == "caller") continue;
    if (!body.uses_kwargs) {
      return template_error(
          fmt::format("macro '{}' takes no keyword argument '{}'", body.name, named.name));
    }
    extra->set(runtime_.arena, Value::string(named.name), named.value);
  }
  if (body.uses_kwargs) {
    HEARTH_TRY(const Value kwargs, runtime_.dict(extra));
    scope.set(runtime_.arena, program_.kwargs, kwargs);
  }
  if (body.uses_varargs) {
    HEARTH_TRY(const Value varargs, runtime_.tuple(arguments.positional.subspan(n_positional)));
    scope.set(runtime_.arena, program_.varargs, varargs);
  } else if (arguments.positional.size() > n_parameters) {
    return template_error(
        fmt::format("macro '{}' takes not more than {} argument(s)", body.name, n_parameters));
  }
  return {};
}

Result<Value> Interpreter::call_macro(const Macro& macro, const CallArguments& arguments) {
  const std::size_t start = output_.size();
  Scope* scope = new_scope(macro.scope, macro.body->scope);
  const Inside inside(*this, scope);
  HEARTH_TRY_VOID(bind_extras(*macro.body, arguments, *scope));
  HEARTH_TRY_VOID(bind_parameters(*macro.body, arguments, *scope));
  HEARTH_TRY_VOID(run_list(macro.body->body));
  return cut_output(start);
}

std::string describe(const Macro& macro) {
  if (macro.body->name.empty()) return "<Macro anonymous>";
  return fmt::format("<Macro '{}'>", macro.body->name);
}

Result<Value> macro_attribute(Runtime& runtime, const Macro& macro, std::string_view name) {
  const MacroBody& body = *macro.body;
  if (name == "name") return body.name.empty() ? Value::none() : Value::string(body.name);
  if (name == "catch_kwargs") return Value::boolean(body.uses_kwargs);
  if (name == "catch_varargs") return Value::boolean(body.uses_varargs);
  if (name == "caller") return Value::boolean(body.uses_caller);
  if (name != "arguments") return Value::missing();
  std::vector<Value> names;
  for (const Parameter& parameter : body.parameters) {
    names.push_back(Value::string(parameter.text));
  }
  return runtime.tuple(names);
}

// --- Loops ---------------------------------------------------------------------------------------

Result<Value> Interpreter::call_loop(LoopState& loop, const CallArguments& arguments) {
  if (!loop.node->is_recursive) {
    return template_error("only a loop marked 'recursive' can be called");
  }
  if (arguments.positional.size() != 1 || !arguments.named.empty()) {
    return template_error("loop() takes one argument: what to loop over");
  }
  const std::size_t start = output_.size();
  const Inside inside(*this, loop.outer);
  HEARTH_TRY_VOID(loop_over(*loop.node, arguments.positional.front(), loop.depth0 + 1));
  return cut_output(start);
}

namespace {

Result<Value> loop_cycle(Runtime&, const Value& self, const CallArguments& arguments) {
  if (arguments.positional.empty()) return template_error("no items for cycling given");
  const auto index = static_cast<std::size_t>(std::max<std::int64_t>(0, self.loop().index0));
  return arguments.positional[index % arguments.positional.size()];
}

Result<Value> loop_changed(Runtime& runtime, const Value& self, const CallArguments& arguments) {
  LoopState& loop = self.loop();
  HEARTH_TRY(const Value now, runtime.tuple(arguments.positional));
  HEARTH_TRY_VOID(runtime.charge_walk(now));
  if (!loop.last_changed.is_missing() && equal(loop.last_changed, now)) {
    return Value::boolean(false);
  }
  loop.last_changed = now;
  return Value::boolean(true);
}

using LoopAttribute = Result<Value> (*)(LoopState& loop);

struct LoopAttributeRow {
  std::string_view name;
  LoopAttribute get;
};

Result<Value> revindex(LoopState& loop, std::int64_t offset) {
  HEARTH_TRY(const std::int64_t length, loop.interpreter->loop_length(loop));
  return Value::integer(length - loop.index0 - 1 + offset);
}

Result<Value> next_item(LoopState& loop) {
  HEARTH_TRY(const Value next, loop.interpreter->loop_following(loop));
  if (!next.is_missing()) return next;
  return Value::undefined(UndefinedBecause::kHint, "there is no next item");
}

Value previous_item(const LoopState& loop) {
  if (loop.index0 > 0) return loop.previous;
  return Value::undefined(UndefinedBecause::kHint, "there is no previous item");
}

constexpr LoopAttributeRow kLoopAttributes[] = {
    {"index", [](LoopState& l) -> Result<Value> { return Value::integer(l.index0 + 1); }},
    {"index0", [](LoopState& l) -> Result<Value> { return Value::integer(l.index0); }},
    {"first", [](LoopState& l) -> Result<Value> { return Value::boolean(l.index0 == 0); }},
    {"last",
     [](LoopState& l) -> Result<Value> {
       HEARTH_TRY(const Value next, l.interpreter->loop_following(l));
       return Value::boolean(next.is_missing());
     }},
    {"length",
     [](LoopState& l) -> Result<Value> {
       HEARTH_TRY(const std::int64_t length, l.interpreter->loop_length(l));
       return Value::integer(length);
     }},
    {"revindex", [](LoopState& l) { return revindex(l, 1); }},
    {"revindex0", [](LoopState& l) { return revindex(l, 0); }},
    {"previtem", [](LoopState& l) -> Result<Value> { return previous_item(l); }},
    {"nextitem", next_item},
    {"depth", [](LoopState& l) -> Result<Value> { return Value::integer(l.depth0 + 1); }},
    {"depth0", [](LoopState& l) -> Result<Value> { return Value::integer(l.depth0); }},
};

constexpr FreeFunctionSpec kLoopMethods[] = {{"cycle", loop_cycle}, {"changed", loop_changed}};

}  // namespace

Result<Value> loop_attribute(Runtime& runtime, LoopState& loop, std::string_view name) {
  for (const LoopAttributeRow& row : kLoopAttributes) {
    if (row.name == name) return row.get(loop);
  }
  static const FunctionTable methods({}, {kLoopMethods});
  if (const NativeFunction* method = methods.find(name)) {
    return Value::function(runtime.arena.make<BoundFunction>(method, Value::loop(&loop)));
  }
  return Value::missing();
}

}  // namespace hearth::text::jinja
