// A LoRA adapter as a file holds it, before it is held against a model.
//
// Two formats become this: GGUF (`general.type` = "adapter", tensors NAME.lora_a and NAME.lora_b),
// which is read here, and folders in PEFT's layout, which the convert room reads.  Names are
// GGUF's, the data stays where it lies.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "gguf/gguf_file.h"
#include "tensor/matmul.h"
#include "text/tokenizer.h"

namespace hearth::model {

// What a file may claim; real adapters stay far below each.
inline constexpr std::uint32_t kAdapterRankMax = 512;
inline constexpr std::size_t kInvocationTokensMax = 256;

// The update of one matrix W [rows, cols]: W + scale * b a.
struct AdapterMatrix {
  std::string target;  // "blk.3.attn_q.weight"
  // [rank, cols]; of the embedding [n_vocab, rank], a token's row being what the product picks.
  tensor::MatView a;
  tensor::MatView b;  // [rows, rank]
  float scale = 1.0F;
};

struct AdapterSource {
  std::string file;          // For messages.
  std::string name;          // GGUF `general.name`; may be empty.
  std::string architecture;  // Of the base; empty where the file does not say.
  // Of an activated adapter, which applies from these tokens on; empty: it always applies.
  std::vector<text::TokenId> invocation_tokens;
  std::vector<AdapterMatrix> matrices;
  std::uint64_t identity = 0;  // Of all bytes.
  std::vector<std::shared_ptr<const void>> owners;  // Of what the views point into.
};

// Whether the file says of itself that it is an adapter.
bool is_adapter(const gguf::GgufFile& file);

// kInvalidArgument for what is no adapter, kCorrupt for one that contradicts itself, kUnsupported
// for what this build would leave out.  The views borrow the file's bytes.
Result<AdapterSource> read_adapter(const gguf::GgufFile& file);

}  // namespace hearth::model
