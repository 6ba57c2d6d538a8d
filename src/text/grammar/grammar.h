// Structured output: a description of the texts that an answer may be, compiled.
//
// Five ways to write one: a JSON schema, "any JSON object", a regular expression, a list of
// choices, or GBNF, the notation of llama.cpp.  All become one Grammar, which a Constraint
// (constraint.h) holds against a model's vocabulary.  What a front end can't enforce it
// refuses, by name; nothing is silently let through.
//
// All functions: kInvalidArgument with one sentence that names the place and what is wrong,
// also for a description that no text can meet.  Any thread may call any of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "text/grammar/automaton.h"

namespace hearth::text::grammar {

inline constexpr std::size_t kSourceBytesMax = std::size_t{256} << 10;
inline constexpr std::size_t kNestingMax = 64;  // Groups, brackets, schemas in schemas.
inline constexpr std::size_t kChoicesMax = 4'096;
// Objects and arrays of values that a schema leaves open: a model can't nest without end.
inline constexpr std::uint32_t kOpenDepthMax = 12;
// Digits of numbers that a schema leaves open: what every reader of JSON keeps exactly.
inline constexpr std::uint32_t kOpenDigitsMax = 15;

// Threading: immutable.
struct Grammar {
  std::string key;  // Kind and source: equal keys, equal grammars.
  Automaton automaton;
};
using GrammarPtr = std::shared_ptr<const Grammar>;

// A JSON Schema (draft 2020-12's words for what is supported; json_schema.h lists them).  Between
// tokens at most one space or line break; properties in the schema's order.
Result<GrammarPtr> compile_json_schema(std::string_view schema);

// Any JSON object, nested at most kOpenDepthMax deep.
Result<GrammarPtr> compile_json_object();

// The whole answer matches `pattern` (regex.h).
Result<GrammarPtr> compile_regex(std::string_view pattern);

// The answer is one of `choices`.
Result<GrammarPtr> compile_choice(std::span<const std::string> choices);

// A GBNF grammar; the answer is what its rule `root` describes (gbnf.h).
Result<GrammarPtr> compile_gbnf(std::string_view text);

// Whether `text` as a whole is one of the grammar's texts.
bool matches(const Grammar& grammar, std::string_view text);

}  // namespace hearth::text::grammar
