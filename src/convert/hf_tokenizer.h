// tokenizer.json and its companions of a model in Hugging Face's layout, as GGUF metadata.
//
// The families of text/tokenizer.h.  Byte-level BPE carries its pre-tokenizer's patterns, which
// GGUF replaces by a name: the patterns are looked up among the known ones.  SentencePiece's BPE
// carries no scores, only the order of merges, from which scores that give the same merges follow.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"
#include "convert/json_reader.h"
#include "gguf/gguf_writer.h"
#include "text/tokenizer.h"

namespace hearth::convert {

// Writes `tokenizer.*` (vocabulary, special tokens, chat template) and what generation_config.json
// says of sampling.  `n_rows` are the embedding's: shorter vocabularies are filled up to it.
// kNotFound, kCorrupt, or kUnsupported for a kind of tokenizer that GGUF readers would run
// otherwise.
Result<> write_hf_tokenizer(const std::filesystem::path& folder, const Json& model_config,
                            std::uint32_t n_rows, gguf::GgufWriter& out);

// The vocabulary of a parsed tokenizer.json; `name` stands for the file in errors.
Result<text::VocabSpec> vocab_of_tokenizer_json(const Json& tokenizer, const std::string& name);

// The name that GGUF has for a byte-level pre-tokenizer: "llama-bpe", "qwen2", ...; kUnsupported
// for patterns that none of them has.
Result<std::string> pre_tokenizer_name(const Json& tokenizer, const std::string& name);

}  // namespace hearth::convert
