// The vocabulary's part of a model's metadata: most of a header's bytes, and equal in all models of a
// family, so it is kept apart from the rest and once.
#pragma once

#include <string>
#include <string_view>

#include "base/digest.h"
#include "gguf/gguf_file.h"

namespace hearth::gguf {

// SHA-256 of all that a tokenizer is built from.  Some milliseconds.
Sha256 vocab_key(const GgufFile& file);

// A GGUF file with those keys and no tensors.
std::string vocab_file(const GgufFile& file);

// The header of `file` without the vocabulary's arrays, all tensors in their order; of a model that is
// kept as a delta, with the name of its base (kDeltaOfKey).
std::string header_without_vocab(const GgufFile& file, std::string_view delta_of = {});

}  // namespace hearth::gguf
