// See runtime.h.
#include "text/jinja/runtime.h"

#include <array>

#include <fmt/format.h>

namespace hearth::text::jinja {

Result<> Runtime::over_limit() const {
  if (steps_ > limits_.steps_max) {
    return fail(Code::kOutOfBudget,
                fmt::format("the template ran for more than {} steps", limits_.steps_max));
  }
  return fail(Code::kOutOfBudget, fmt::format("the template's values need more than {} bytes",
                                              limits_.memory_bytes_max));
}

Result<> Runtime::reserve(std::uint64_t count, std::uint64_t bytes) const {
  const std::size_t used = arena.bytes_reserved();
  const std::size_t left = used < limits_.memory_bytes_max ? limits_.memory_bytes_max - used : 0;
  if (bytes != 0 && count > left / bytes) {
    return fail(Code::kOutOfBudget, fmt::format("the template's values need more than {} bytes",
                                                limits_.memory_bytes_max));
  }
  return {};
}

namespace {

std::unexpected<Error> too_big(const Extent& extent) {
  if (extent.depth > kNestingMax) {
    return template_error(fmt::format("values nest deeper than {} levels", kNestingMax));
  }
  return template_error(fmt::format("a list or dict holds more than {} values", kWeightMax));
}

}  // namespace

Result<> Runtime::reserve_items(std::uint64_t count) const {
  if (count > kWeightMax) return too_big({1, kWeightMax + 1});
  return reserve(count, sizeof(Value));
}

Result<const Sequence*> Runtime::sequence(std::span<const Value> items, bool is_group) {
  HEARTH_TRY_VOID(reserve_items(items.size()));
  Extent extent{1, 1};
  for (const Value& item : items) extent.add(item.extent());
  if (!extent.within_limits()) return too_big(extent);
  return arena.make<Sequence>(static_cast<std::uint32_t>(items.size()), is_group, extent,
                              arena.copy(items).data());
}

Result<Value> Runtime::list(std::span<const Value> items) {
  HEARTH_TRY(const Sequence* made, sequence(items));
  return Value::list(made);
}

Result<Value> Runtime::tuple(std::span<const Value> items) {
  HEARTH_TRY(const Sequence* made, sequence(items));
  return Value::tuple(made);
}

Result<Value> Runtime::iterator(const char* type_name, std::span<const Value> items) {
  HEARTH_TRY(const Sequence* made, sequence(items));
  return Value::iterator(arena.make<Iterator>(type_name, made, 0u));
}

Result<Value> Runtime::dict(const Dict* dict) {
  if (!dict->extent.within_limits()) return too_big(dict->extent);
  return Value::dict(dict);
}

Result<Value> TextBuilder::finish(bool is_markup) {
  // A full builder asks for more than there can be, and gets the error that says so.
  HEARTH_TRY_VOID(runtime_.reserve(is_full_ ? 2 : 1, is_full_ ? bytes_max_ : text_.size()));
  HEARTH_TRY_VOID(runtime_.charge_text(text_.size()));
  return runtime_.string(text_, is_markup);
}

namespace {

NativeFunction parse_parameters(const FunctionSpec& spec) {
  NativeFunction function{.name = spec.name, .fixed = spec.body};
  std::string_view rest = spec.parameters;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(' '), rest.size());
    std::string_view word = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (word == "/") {
      function.positional_only = true;
    } else if (word.front() == '[') {
      function.parameters.push_back(word.substr(1, word.size() - 2));
    } else {
      function.parameters.push_back(word);
      function.required = function.parameters.size();
    }
  }
  HEARTH_CHECK(function.parameters.size() < kArgumentsMax);
  return function;
}

std::unexpected<Error> argument_error(const NativeFunction& function, std::string_view what) {
  return template_error(fmt::format("{}() {}", function.name, what));
}

}  // namespace

FunctionTable::FunctionTable(std::initializer_list<std::span<const FunctionSpec>> fixed,
                             std::initializer_list<std::span<const FreeFunctionSpec>> free) {
  for (const auto& specs : fixed) {
    for (const FunctionSpec& spec : specs) functions_.emplace(spec.name, parse_parameters(spec));
  }
  for (const auto& specs : free) {
    for (const FreeFunctionSpec& spec : specs) {
      functions_.emplace(spec.name, NativeFunction{.name = spec.name, .free = spec.body});
    }
  }
}

const NativeFunction* FunctionTable::find(std::string_view name) const {
  const auto found = functions_.find(name);
  return found == functions_.end() ? nullptr : &found->second;
}

Result<Value> invoke(Runtime& runtime, const NativeFunction& function, const Value& self,
                     const CallArguments& arguments) {
  if (function.free) return function.free(runtime, self, arguments);

  const std::size_t n_parameters = function.parameters.size();
  if (arguments.positional.size() > n_parameters) {
    return argument_error(function, fmt::format("takes at most {} arguments ({} given)",
                                                n_parameters, arguments.positional.size()));
  }
  std::array<Value, kArgumentsMax> bound;
  bound[0] = self;
  std::copy(arguments.positional.begin(), arguments.positional.end(), bound.begin() + 1);
  for (const NamedArgument& named : arguments.named) {
    std::size_t i = 0;
    while (i < n_parameters && function.parameters[i] != named.name) ++i;
    if (i == n_parameters || function.positional_only) {
      return argument_error(function,
                            fmt::format("got an unexpected keyword argument '{}'", named.name));
    }
    if (!bound[i + 1].is_missing()) {
      return argument_error(function,
                            fmt::format("got multiple values for argument '{}'", named.name));
    }
    bound[i + 1] = named.value;
  }
  for (std::size_t i = 0; i < function.required; ++i) {
    if (bound[i + 1].is_missing()) {
      return argument_error(function,
                            fmt::format("misses the argument '{}'", function.parameters[i]));
    }
  }
  return function.fixed(runtime, std::span(bound).first(n_parameters + 1));
}

}  // namespace hearth::text::jinja
