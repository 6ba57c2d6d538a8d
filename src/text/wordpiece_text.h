// BERT's basic tokenisation: from a text to its words.
//
// Control characters go; white space ends a word; each punctuation mark and each Chinese
// character is a word of its own.  For uncased vocabularies letters lose their accents
// (canonical decomposition without non-spacing marks) and their case.
//
// Devlin et al., "BERT" (2018), as its fast tokenizers do it: case is folded letter by letter,
// so a final sigma is like any other.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hearth::text {

// The words of `text`, in order, none empty.  Bytes that are no UTF-8 are dropped.
std::vector<std::string> wordpiece_words(std::string_view text, bool is_uncased);

}  // namespace hearth::text
