// What one render shares: memory, limits, the clock, and how built-ins are called.
//
// Built-in filters, tests, methods and functions are rows of tables (FunctionTable): a name,
// the parameters as a line of text, and a function.  The line is parsed once, and every call
// is checked against it, so that bodies see each argument at its own index.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "text/chat_template.h"
#include "text/jinja/arena.h"
#include "text/jinja/value.h"

namespace hearth::text::jinja {

// Counts a level of nesting while it lives.
class Level {
 public:
  explicit Level(unsigned& depth) : depth_(depth) { ++depth_; }
  ~Level() { --depth_; }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;

 private:
  unsigned& depth_;
};

// State of one render.  Threading: externally synchronised.
class Runtime {
 public:
  Runtime(const RenderLimits& limits, std::int64_t now_unix)
      : limits_(limits), now_unix_(now_unix) {}

  Arena arena;

  const RenderLimits& limits() const { return limits_; }
  std::int64_t now_unix() const { return now_unix_; }

  // Marks the error that follows as the template's own words.
  void set_raised() { raised_ = true; }
  bool raised() const { return raised_; }

  // Counts `steps` and says whether the render may go on.
  Result<> charge(std::uint64_t steps) {
    steps_ += steps;
    if (steps_ > limits_.steps_max || arena.bytes_reserved() > limits_.memory_bytes_max)
        [[unlikely]] {
      return over_limit();
    }
    return {};
  }
  // The same for walking over `bytes` of text, and for comparing or hashing a value once.
  Result<> charge_text(std::size_t bytes) { return charge(bytes / 16); }
  Result<> charge_walk(const Value& value) { return charge(value.extent().weight / 8); }

  // Whether `count` things of `bytes` each still fit; ask before making something large.
  Result<> reserve(std::uint64_t count, std::uint64_t bytes) const;
  // The same for a list of `count` items.
  Result<> reserve_items(std::uint64_t count) const;

  Value string(std::string_view text) { return Value::string(arena.copy(text)); }
  Value string(std::string_view text, bool is_markup) {
    return Value::string(arena.copy(text), is_markup);
  }

  // kInvalidArgument where the result would nest or weigh too much.
  Result<Value> list(std::span<const Value> items);
  Result<Value> tuple(std::span<const Value> items);
  Result<const Sequence*> sequence(std::span<const Value> items, bool is_group = false);
  Result<Value> iterator(const char* type_name, std::span<const Value> items);
  // Wraps a dict that is complete.
  Result<Value> dict(const Dict* dict);

 private:
  Result<> over_limit() const;

  RenderLimits limits_;
  std::int64_t now_unix_;
  std::uint64_t steps_ = 0;
  bool raised_ = false;
};

// Builds text up to the render's limits; past them it drops what comes and `finish` fails.
class TextBuilder {
 public:
  explicit TextBuilder(Runtime& runtime)
      : runtime_(runtime), bytes_max_(runtime.limits().memory_bytes_max) {}

  void add(std::string_view text) {
    if (text.size() > bytes_max_ - text_.size()) [[unlikely]] {
      is_full_ = true;
    } else {
      text_.append(text);
    }
  }
  void add(char c) { add(std::string_view(&c, 1)); }
  void add_times(std::string_view text, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count && !is_full_; ++i) add(text);
  }

  bool is_full() const { return is_full_; }
  std::string_view text() const { return text_; }
  Result<Value> finish(bool is_markup = false);

 private:
  Runtime& runtime_;
  std::size_t bytes_max_;
  std::string text_;
  bool is_full_ = false;
};

struct NamedArgument {
  std::string_view name;
  Value value;
};

struct CallArguments {
  std::span<const Value> positional;
  std::span<const NamedArgument> named;
};

// One argument per parameter; args[0] is the object or the filtered value, missing for a
// global function, and parameters that were not given are missing.
using FixedBody = Result<Value> (*)(Runtime& runtime, std::span<const Value> args);
// For those that take any arguments.
using FreeBody = Result<Value> (*)(Runtime& runtime, const Value& self,
                                   const CallArguments& arguments);

// A row as its table writes it.  `parameters` are names in order; "[name]" may be left out;
// a final "/" says that they go by position only.
struct FunctionSpec {
  std::string_view name;
  std::string_view parameters;
  FixedBody body;
};

struct FreeFunctionSpec {
  std::string_view name;
  FreeBody body;
};

struct NativeFunction {
  std::string_view name;
  std::vector<std::string_view> parameters;
  std::size_t required = 0;
  bool positional_only = false;
  FixedBody fixed = nullptr;  // Exactly one of the two is set.
  FreeBody free = nullptr;
};

// Parameters of a native function, itself included.
inline constexpr std::size_t kArgumentsMax = 8;

// Immutable once built; any thread may read.
class FunctionTable {
 public:
  FunctionTable(std::initializer_list<std::span<const FunctionSpec>> fixed,
                std::initializer_list<std::span<const FreeFunctionSpec>> free = {});
  // Null if there is none.
  const NativeFunction* find(std::string_view name) const;

 private:
  std::unordered_map<std::string_view, NativeFunction> functions_;
};

// Checks the arguments and calls.
Result<Value> invoke(Runtime& runtime, const NativeFunction& function, const Value& self,
                     const CallArguments& arguments);

// The tables, each beside its functions.
const FunctionTable& filter_table();  // filters.cpp
const FunctionTable& test_table();    // tests.cpp
const FunctionTable& global_table();  // globals.cpp
// The methods of a kind of object; null where it has none.
const FunctionTable* method_table(Kind kind);  // methods.cpp

}  // namespace hearth::text::jinja
