// A text encoder of the BERT family: from tokens to one vector per text, or, where it was trained
// to rank, to one number per pair of texts.
//
// It shares nothing with the decoders' forward pass but the kernels: attention sees the whole
// text at once, so there is no KV cache, no session and no sampling; a call is a pure function
// of its texts.  Devlin et al., "BERT" (2018); pooling as in Reimers and Gurevych,
// "Sentence-BERT" (2019).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "model/model.h"
#include "text/tokenizer.h"

namespace hearth::model {

// How a text's token states become one vector.  The numbers are those of GGUF's
// `bert.pooling_type`.  kRank is none: the first token's state goes through a classifier, and the
// model scores pairs instead of embedding (Nogueira and Cho, "Passage Re-ranking with BERT", 2019).
enum class Pooling : std::uint8_t { kMean = 1, kFirst = 2, kLast = 3, kRank = 4 };

struct EncoderConfig {
  std::string name;  // GGUF `general.name`, or the file's name.
  std::uint32_t n_layers = 0;
  std::uint32_t n_heads = 0;
  std::uint32_t head_dim = 0;
  std::uint32_t d_model = 0;  // Also the length of an embedding.
  std::uint32_t d_ff = 0;
  std::uint32_t n_vocab = 0;
  std::uint32_t n_context = 0;  // Tokens of a text at most, [CLS] and [SEP] included.
  float norm_eps = 1e-12F;
  Pooling pooling = Pooling::kMean;
};

// Two texts in one: [CLS] first [SEP] second [SEP].
struct TextPair {
  std::vector<text::TokenId> tokens;
  std::uint32_t n_first = 0;  // Of the first text, its [CLS] and [SEP] included.
};

// Whether a model of this GGUF `general.architecture` is an encoder: it embeds and can't chat.
bool is_encoder_architecture(std::string_view architecture);
std::span<const std::string_view> encoder_architectures();
// Whether one may rank documents: an encoder, or a decoder that comes with a classifier
// (decoder_ranker.h).
bool may_rank(std::string_view architecture);

// Threading: immutable; any thread may call any member.
class Encoder {
 public:
  // Maps a GGUF file and checks every shape and type.  The errors are those of Model::load; a file
  // of another architecture is kUnsupported, a decoder that does not rank kInvalidArgument.
  static Result<std::shared_ptr<const Encoder>> load(const std::filesystem::path& path,
                                                     const LoadOptions& options = {});
  virtual ~Encoder() = default;

  const EncoderConfig& config() const { return config_; }
  const text::Tokenizer& tokenizer() const { return *tokenizer_; }
  std::uint64_t weight_bytes() const { return weight_bytes_; }

  // kInvalidArgument for a text without tokens, one longer than the context (the message names
  // both lengths), or an id out of range.
  Result<> check(std::span<const text::TokenId> tokens) const;

  // One vector [d_model] of length 1 per text, in order.  A text's vector does not depend on the
  // others.  The errors of check(), before anything is computed; kCancelled once `stop` asks for
  // it; kInvalidArgument for a model that ranks.  One caller of `pool` at a time.
  virtual Result<std::vector<std::vector<float>>> encode(
      std::span<const std::vector<text::TokenId>> texts, ThreadPool& pool,
      std::stop_token stop = {}) const = 0;

  // Whether it scores pairs, or embeds texts: it does one of the two.
  bool ranks() const { return config_.pooling == Pooling::kRank; }
  virtual TextPair pair(std::string_view first, std::string_view second) const;
  // How well each pair's texts fit, higher is better: the classifier's number as it is, of any size
  // and sign, or a decoder's probability of a yes.  Otherwise as encode().
  virtual Result<std::vector<float>> score(std::span<const TextPair> pairs, ThreadPool& pool,
                                           std::stop_token stop = {}) const = 0;

 protected:
  EncoderConfig config_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  std::uint64_t weight_bytes_ = 0;
};

}  // namespace hearth::model
