// Hand-written matchers for the pre-tokenizer patterns that most models use.
//
// A pre-tokenizer cuts text into words that BPE merges never cross.  The patterns are
// regular expressions in the models' own files; the few that nearly all models share are
// written here as code, which reads a text once and runs several times faster than the
// regular expression engine.  Each has its pattern as a twin in pre_tokenizer.cpp, and
// pre_tokenizer_test.cpp compares the two.
//
// Each matcher takes a text and a position inside it and returns where the word that starts
// there ends (always past `pos`): these patterns match at every position, so there are no
// gaps.  Each looks at a character a bounded number of times, so a whole text costs linear time.
#pragma once

#include <cstddef>
#include <string_view>

namespace hearth::text {

using WordMatcher = std::size_t (*)(std::string_view text, std::size_t pos);

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
std::size_t match_gpt2_word(std::string_view text, std::size_t pos);

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*
// |\s*[\r\n]+|\s+(?!\S)|\s+
std::size_t match_llama3_word(std::string_view text, std::size_t pos);

// The same with \p{N} in place of \p{N}{1,3}.
std::size_t match_qwen2_word(std::string_view text, std::size_t pos);

// \p{N}: one number, else everything up to the next one.
std::size_t match_single_number(std::string_view text, std::size_t pos);

}  // namespace hearth::text
