// Text to token ids and back.
//
// Two families cover the models that people chat with: SentencePiece-style scores with byte
// fallback (GGUF `tokenizer.ggml.model` = "llama") and byte-level BPE with a
// pre-tokenizer regex ("gpt2" with `tokenizer.ggml.pre`); a third, WordPiece ("bert"), the
// encoders that make embeddings.  A tokenizer is built once from a VocabSpec, which the model room
// fills from a file's metadata: this room knows nothing of files.  What is built is an image
// (vocab_image.h), a block of bytes that can be kept and mapped instead of building it again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::text {

using TokenId = std::int32_t;

// The numbers are those of GGUF's `tokenizer.ggml.token_type`.
enum class TokenType : std::uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

// What a tokenizer is built from; names follow the GGUF keys under `tokenizer.ggml.`.
struct VocabSpec {
  std::string model;                // "llama", "gpt2" or "bert".
  std::string pre;                  // Pre-tokenizer of "gpt2": "gpt-2", "llama-bpe", "qwen2", ...
  std::vector<std::string> tokens;  // Text of each id, as stored.
  std::vector<float> scores;        // "llama" only; one per token or empty.
  std::vector<TokenType> types;     // One per token or empty (all normal).
  std::vector<std::string> merges;  // "gpt2" only: "left right", best first.
  std::optional<TokenId> bos, eos, eot, unk, pad;
  std::optional<TokenId> cls, sep;  // "bert" only, where they stand for BOS and EOS.
  std::optional<bool> add_bos, add_eos, add_space_prefix;
};

struct EncodeOptions {
  bool add_special = false;    // Add BOS/EOS where the vocabulary asks for it.
  bool parse_special = false;  // Read the text of control tokens as the tokens themselves.
};

// Of the image's layout and of what is built into it: part of the name that an image is kept under.
inline constexpr std::uint32_t kVocabImageVersion = 2;

struct VocabTables;

// Threading: immutable; any thread may call any member.
class Tokenizer {
 public:
  // kUnsupported for an unknown `model` or `pre` (the message names both it and what is known);
  // kCorrupt for ids out of range, merges that name no token, or sizes that disagree.
  static Result<std::unique_ptr<const Tokenizer>> create(VocabSpec spec);

  // The tables of such a tokenizer, to be kept; the same errors.
  static Result<std::vector<std::byte>> make_image(VocabSpec spec);

  // The tokenizer of an image, in well under a millisecond.  kUnsupported for an image of another
  // version, kCorrupt for a damaged one: then build it again.  `owner` keeps the bytes alive, which
  // must be aligned to 8.
  static Result<std::unique_ptr<const Tokenizer>> from_image(std::span<const std::byte> image,
                                                             std::shared_ptr<const void> owner);

  virtual ~Tokenizer();

  // Never fails: bytes that match nothing fall back to byte tokens or <unk>.  Invalid UTF-8 is
  // tokenised byte by byte (WordPiece drops it).
  virtual std::vector<TokenId> encode(std::string_view text,
                                      const EncodeOptions& options = {}) const = 0;

  // The bytes of one token as they stand inside a text (a leading space kept); may be part of a
  // code point.  Control tokens give "" unless `special`.  Ids out of range give "".
  virtual std::string piece(TokenId id, bool special = false) const = 0;

  // The whole text of `ids`; undoes the space that encode() put in front.
  std::string decode(std::span<const TokenId> ids, bool special = false) const;

  std::uint32_t n_vocab() const;
  std::optional<TokenId> bos() const;
  std::optional<TokenId> eos() const;
  bool adds_bos() const;
  bool adds_space_prefix() const;
  // Whether generation ends at `id`: EOS, EOT, and the end-of-turn tokens that families use.
  bool is_end_of_generation(TokenId id) const;
  bool is_control(TokenId id) const;
  // The id whose stored text is exactly `text`.
  virtual std::optional<TokenId> find(std::string_view text) const = 0;
  // The stored text of a token, for templates (`bos_token`).
  std::string_view token_text(TokenId id) const;

 protected:
  Tokenizer(const VocabTables& tables, std::shared_ptr<const void> owner);
  const VocabTables& tables() const { return *tables_; }

 private:
  std::shared_ptr<const void> owner_;  // Of what the tables borrow.
  std::unique_ptr<const VocabTables> tables_;
};

// Turns a stream of ids into a stream of text that never splits a code point: bytes of an
// unfinished one are held back until the next token, at most 3 of them.  Bytes that can be part
// of no code point come out as U+FFFD, so every string that leaves is valid UTF-8.
//
// Threading: externally synchronised; borrows the tokenizer.
class StreamDecoder {
 public:
  // `at_start` says that the stream is a whole text, whose first space encode() may have put in
  // front and which is therefore dropped, as decode() does.  The default is a stream that continues
  // a prompt: its first space is its own.
  explicit StreamDecoder(const Tokenizer& tokenizer, bool special = false, bool at_start = false);
  // The text that `id` completes; may be empty.
  std::string push(TokenId id) { return push(id, special_); }
  // The same with another wish about control tokens, for this one.
  std::string push(TokenId id, bool special);
  // What was held back at the end, with invalid bytes replaced by U+FFFD.
  std::string flush();

 private:
  const Tokenizer& tokenizer_;
  bool special_;
  bool drop_space_;  // The next non-empty piece loses its first space.
  std::string held_;
};

}  // namespace hearth::text
