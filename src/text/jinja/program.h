// A compiled template: the tree, the memory it lives in, and the names that it uses.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/jinja/arena.h"
#include "text/jinja/ast.h"

namespace hearth::text::jinja {

// How deep expressions and blocks of a template may nest.
inline constexpr unsigned kSyntaxDepthMax = 150;
// Templates of real models stay under 40 KB.
inline constexpr std::size_t kSourceBytesMax = std::size_t{1} << 20;

// Immutable once parsed.
struct Program {
  Arena arena;
  StmtList body;
  const ScopeInfo* scope = nullptr;
  std::vector<std::string_view> names;  // By NameId.
  // Names that the interpreter binds itself.
  NameId loop{}, caller{}, kwargs{}, varargs{};
};

// Parses `source`, which must outlive `program`.  kInvalidArgument with the line and the
// reason where it is no template.
Result<> parse(std::string_view source, Program& program);

}  // namespace hearth::text::jinja
