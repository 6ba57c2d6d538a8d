// Template text to tokens, with Jinja's whitespace rules applied: trim_blocks (the newline
// behind a block tag goes), lstrip_blocks (blanks before a block tag that starts its line go),
// and the signs `-` and `+` inside the braces.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/jinja/arena.h"

namespace hearth::text::jinja {

enum class TokenKind : std::uint8_t {
  kData,           // Text between tags.
  kBlockBegin,     // {%
  kBlockEnd,       // %}
  kVariableBegin,  // {{
  kVariableEnd,    // }}
  kName,
  kInteger,
  kFloat,
  kString,  // `text` is the decoded value.
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind;
  std::uint32_t line;
  std::string_view text;
};

// The tokens of `source`, ended by one of kind kEnd.  They borrow `source` and `arena`.
Result<std::vector<Token>> tokenize(std::string_view source, Arena& arena);

// An error at a line of a template.
std::unexpected<Error> syntax_error(std::uint32_t line, std::string_view what);

}  // namespace hearth::text::jinja
