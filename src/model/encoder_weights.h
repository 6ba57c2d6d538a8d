// An encoder's hyperparameters and tensors, read and bound by name with every shape checked.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "gguf/gguf_file.h"
#include "model/encoder.h"
#include "tensor/matmul.h"

namespace hearth::model {

// y = W x + b.
struct Linear {
  tensor::MatView weight;       // [out, in]
  const float* bias = nullptr;  // [out]
};

struct LayerNorm {
  const float* weight = nullptr;  // [d_model]
  const float* bias = nullptr;    // [d_model]
};

struct EncoderLayer {
  Linear q, k, v, attn_out;  // [d_model, d_model]
  LayerNorm attn_norm;       // Of the block's input and output together.
  Linear up, down;           // [d_ff, d_model], [d_model, d_ff]
  LayerNorm ffn_norm;
};

struct EncoderWeights {
  tensor::MatView tokens;     // [n_vocab, d_model]
  tensor::MatView positions;  // [n_context, d_model]
  tensor::MatView types;      // [n_types, d_model]; a text is of type 0, a pair's second of type 1.
  LayerNorm embedding_norm;
  std::vector<EncoderLayer> layers;
  // Of models that rank: a hidden layer of the classifier [d_model, d_model], which some do
  // without, and its output [1, d_model].
  Linear classifier, score;
};

// kCorrupt or kUnsupported naming the file, the key, its value and the limit.
Result<EncoderConfig> read_encoder_config(const gguf::GgufFile& file);

// The views borrow the file's bytes.  Sets config.n_vocab, and lowers config.n_context to the
// positions that there are.  Errors as bind_weights (weights.h).
Result<EncoderWeights> bind_encoder_weights(const gguf::GgufFile& file, EncoderConfig& config);

}  // namespace hearth::model
