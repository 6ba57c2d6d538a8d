// A decoder that ranks: it reads a query and a document in one prompt, and the classifier on its last
// token says whether the one answers the other (Qwen3-Reranker, arxiv.org/abs/2506.05176).
#pragma once

#include <filesystem>
#include <memory>

#include "base/result.h"
#include "gguf/gguf_file.h"
#include "model/encoder.h"

namespace hearth::model {

// Loads the decoder of `file`, which lies at `path`, as a ranker.  kInvalidArgument for one that
// does not rank (GGUF `ARCH.pooling_type` is not 4, or there is no classifier); else the errors of
// Model::load.
Result<std::shared_ptr<const Encoder>> load_decoder_ranker(const gguf::GgufFile& file,
                                                           const std::filesystem::path& path,
                                                           const LoadOptions& options);

}  // namespace hearth::model
