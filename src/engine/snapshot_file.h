// The file of a snapshot: a run of KV pages in their own layout, and how it is known and checked.
//
//   head      SnapshotFileHead, then tokens [n_tokens] i32, adapters [n_pages] u64,
//             page sums [n_pages] u64, label; filled up to a multiple of 4096 bytes
//   pages     [n_pages][page_bytes], as they lie in memory (model/kv_layout.h)
//   logits    [n_logits] f32, of the token after the run's last one; none if n_logits is 0
//
// Texts form a tree, and so do files: a file holds the pages of one stretch of a text, and its head
// names the text before them by a digest, so that a conversation that grows writes its new pages
// and nothing else.  The digest of a page is SHA-256 of the digest before it, the adapters and the
// page's tokens; that of the empty text is the *key*: build, model, layout.  Digests decide whose
// memory answers, so they are such as nobody can forge; sums (XXH3) only find damage.
//
// Numbers are little-endian, as every machine that runs this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/result.h"
#include "model/kv_layout.h"
#include "text/tokenizer.h"

namespace hearth::engine {

using text::TokenId;

inline constexpr std::uint32_t kSnapshotVersion = 1;
inline constexpr std::uint32_t kSnapshotPagesMax = 2048;  // Of one file: 65,536 tokens.
inline constexpr std::uint32_t kSnapshotLogitsMax = 1 << 24;
inline constexpr std::uint64_t kSnapshotPageBytesMax = std::uint64_t{1} << 32;
inline constexpr std::uint32_t kSnapshotLabelBytesMax = 256;
inline constexpr std::size_t kSnapshotAlign = 4096;
inline constexpr std::size_t kSnapshotHeadBytesMax = std::size_t{512} << 10;

struct SnapshotHead {
  std::uint64_t build = 0;               // program_identity() of who wrote it.
  Sha256 key{};                          // Of the empty text (snapshot_key).
  Sha256 parent{};                       // Of the text before the first page; the key if none is.
  std::uint32_t first_page = 0;          // Pages before this file's.
  std::uint64_t page_bytes = 0;
  std::vector<TokenId> tokens;           // Of the file's pages; the last one may be unfinished.
  std::vector<std::uint64_t> adapters;   // [n_pages] AdapterMix::key_before the page's last token.
  std::vector<std::uint64_t> page_sums;  // [n_pages]
  std::uint32_t n_logits = 0;
  std::uint64_t logits_sum = 0;
  std::uint64_t token_us = 0;            // What a token took to compute; 0: not known.
  std::string label;                     // The model's name, for people.

  std::uint32_t n_pages() const { return static_cast<std::uint32_t>(page_sums.size()); }
  std::uint32_t n_tokens() const { return static_cast<std::uint32_t>(tokens.size()); }
  std::span<const TokenId> page_tokens(std::uint32_t page) const {
    const auto rest = std::span(tokens).subspan(std::size_t{page} * model::kPageTokens);
    return rest.first(std::min<std::size_t>(rest.size(), model::kPageTokens));
  }
  std::size_t head_bytes() const;  // A multiple of kSnapshotAlign.
  std::uint64_t page_offset(std::uint32_t page) const { return head_bytes() + page * page_bytes; }
  std::uint64_t logits_offset() const { return page_offset(n_pages()); }
  std::uint64_t file_bytes() const { return logits_offset() + std::uint64_t{n_logits} * 4; }
};

// The digest of the empty text under a model.  `layout` as its pages have it.
Sha256 snapshot_key(std::uint64_t build, std::uint64_t model_identity,
                    const model::KvLayout& layout);

// The digest of the text that ends with this page.
Sha256 page_digest(const Sha256& before, std::uint64_t adapters, std::span<const TokenId> tokens);

// The head's bytes, head_bytes() of them.
std::string encode_snapshot_head(const SnapshotHead& head);

// How many bytes the head has, from a file's first kSnapshotAlign bytes.  kCorrupt if this is no
// snapshot, kUnsupported if it is one of another version.
Result<std::size_t> snapshot_head_bytes(std::span<const std::byte> first);

// Reads a head of a file of `file_bytes` bytes.  Every byte of it is checked by its sum, every
// number held against its limits and the file's size: kCorrupt names what is wrong.
Result<SnapshotHead> decode_snapshot_head(std::span<const std::byte> bytes,
                                          std::uint64_t file_bytes);

}  // namespace hearth::engine
