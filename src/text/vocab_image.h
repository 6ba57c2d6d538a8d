// A tokenizer's tables as one block of bytes: built once, then mapped and never parsed.
//
//   header     magic, version, checksum, facts, and where each section lies
//   sections   texts, types, hash tables, ranks: each an array, 64-byte aligned
//
// Building the tables of a vocabulary of 150,000 tokens takes 100 to 300 ms; mapping them takes as
// long as checking their sum.  Everything is an offset or an index, so the block may lie anywhere.
// A change of what is built from a vocabulary, or of how it is laid out, is a new
// kVocabImageVersion: older images are then built again from the vocabulary.
//
// An image is this program's own work, but it comes back from a disk: the checksum finds what
// rotted, and every count and offset that the tables rest on is checked besides.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/merge_table.h"
#include "text/special_tokens.h"
#include "text/token_index.h"
#include "text/token_texts.h"
#include "text/tokenizer.h"

namespace hearth::text {

enum class VocabFamily : std::uint32_t {
  kBpe = 1,
  kSentencePiece = 2,
  kWordPiece = 3,
  kMarkedBpe = 4
};

inline constexpr std::int32_t kNoToken = -1;

// What a tokenizer knows beside its tables.  Plain bytes: lies in the image as it is.
struct VocabFacts {
  VocabFamily family = VocabFamily::kBpe;
  std::int32_t bos = kNoToken, eos = kNoToken, unk = kNoToken;
  std::uint32_t adds_bos = 0, adds_eos = 0, adds_space_prefix = 0;
  std::uint32_t token_bytes_max = 0;  // Of tokens that text may become.
  std::uint32_t cuts_at_spaces = 0;   // SentencePiece: no merge crosses a space.
  std::uint32_t is_uncased = 0;       // WordPiece.
  std::array<std::int32_t, 256> byte_ids{};  // The token of each byte, or kNoToken.
};

// A vocabulary under construction.
struct VocabDraft {
  VocabFacts facts;
  std::string pre;  // Of a byte-level BPE: the pre-tokenizer's name.
  OwnedTexts texts;
  std::vector<TokenType> types;          // [n_tokens], or none: all normal.
  std::vector<std::uint8_t> end_tokens;  // [n_tokens]: 1 where generation ends.
  std::vector<TokenIndex::Slot> index;
  std::vector<std::int32_t> user_defined, all_special;  // As SpecialTokens::build made them.
  std::vector<MergeSlot> merges;
  std::vector<std::uint32_t> ranks;  // [n_tokens] or none: of SentencePiece's scores.
};

// The same, borrowed from an image.
struct VocabTables {
  VocabFacts facts;
  std::string_view pre;
  TokenTexts texts;
  std::span<const TokenType> types;
  std::span<const std::uint8_t> end_tokens;
  TokenIndex index;
  SpecialTokens user_defined, all_special;
  MergeTable merges;
  std::span<const std::uint32_t> ranks;
};

std::vector<std::byte> write_vocab_image(const VocabDraft& draft);

// kUnsupported for another version, kCorrupt for everything else that is wrong.  `image` must be
// aligned to 8 bytes and outlive the tables.
Result<VocabTables> read_vocab_image(std::span<const std::byte> image);

}  // namespace hearth::text
