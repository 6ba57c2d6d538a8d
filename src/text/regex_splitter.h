// One stage of a pre-tokenizer given as a regular expression (PCRE2 with JIT).
//
// The text is cut at each match; what lies between two matches is a word of its own.  Where PCRE2
// gives up (its match limit is lowered so that a hostile text can't hold a core), the rest of
// the text stays one word: encoding never fails.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::text {

// Threading: immutable; any thread may split.
class RegexSplitter {
 public:
  // kInvalidArgument with PCRE2's words and the offset for a pattern that doesn't compile.
  static Result<RegexSplitter> compile(std::string_view pattern);

  RegexSplitter(RegexSplitter&&) noexcept;
  RegexSplitter& operator=(RegexSplitter&&) noexcept;
  ~RegexSplitter();

  // Cuts each word of `text` (given by the ends of all words, in order) into smaller ones and
  // appends their ends to `out`.  `text` must be valid UTF-8: it is not checked again.
  void split(std::string_view text, std::span<const std::size_t> ends,
             std::vector<std::size_t>& out) const;

 private:
  struct Program;
  explicit RegexSplitter(std::unique_ptr<Program> program);
  std::unique_ptr<Program> program_;
};

}  // namespace hearth::text
