// Which pages the files of a folder hold, found by the text before them.
//
// The tree of texts is kept as one table from the digest of a text to the pages that go on from
// it; tokens are compared, digests only say where.  A folder of 4 GiB has some ten thousand pages.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/adapter_mix.h"
#include "engine/snapshot_file.h"

namespace hearth::engine {

// A text, by what its pages are known, and what they are like.
struct SnapshotText {
  Sha256 key{};              // snapshot_key of its model.
  std::vector<TokenId> tokens;
  AdapterTrail adapters;
  std::size_t page_bytes = 0;
  std::uint32_t n_vocab = 0;
};

// One page on disk.
struct StoredPage {
  std::uint64_t file = 0;  // SnapshotIndex's number of it.
  std::uint32_t page = 0;  // Of the file.
  std::uint32_t n_tokens = 0;
  std::uint64_t adapters = 0;
  std::array<TokenId, model::kPageTokens> tokens{};

  std::span<const TokenId> text() const { return std::span(tokens).first(n_tokens); }
};

// How far a text is known.
struct SnapshotMatch {
  std::vector<StoredPage> whole;  // Pages of it, from the one on that was asked for.
  StoredPage part;                // The page that goes on most like the text,
  std::uint32_t n_part = 0;       // and how many tokens they share; 0: none does.
  std::uint64_t logits_file = 0;  // Whose logits follow the whole text; 0: nobody's.
};

// Threading: externally synchronised.
class SnapshotIndex {
 public:
  struct File {
    std::string name;
    SnapshotHead head;
    std::uint64_t bytes = 0;
    std::int64_t used_unix_s = 0;
    std::vector<Sha256> digests = {};  // [n_pages] of the texts that end with them; `add` finds them.
  };

  // The file's number; 0 if there is one of that name.
  std::uint64_t add(File file);
  void forget(std::uint64_t file);  // No effect if there is none.

  // Null if there is none.
  const File* find(std::uint64_t file) const;
  const File* find(const std::string& name) const;
  void touch(std::uint64_t file, std::int64_t used_unix_s);
  const std::map<std::uint64_t, File>& files() const { return files_; }
  std::uint64_t bytes() const { return bytes_; }

  // What is known of the first n_tokens of `text`, given that the pages before `first_page` need not
  // be looked for.
  SnapshotMatch match(const SnapshotText& text, std::uint32_t n_tokens,
                      std::uint32_t first_page = 0) const;

  // Whom to drop first, at a time and for a build; 0: there are none.
  std::uint64_t least_valuable(std::int64_t now_unix_s, std::uint64_t build) const;

 private:
  struct PageRef {
    std::uint64_t file = 0;
    std::uint32_t page = 0;
  };
  struct DigestHash {
    std::size_t operator()(const Sha256& digest) const;
  };

  StoredPage stored(const PageRef& ref) const;
  bool leads_on(const File& file) const;
  bool is_reachable(const File& file) const;

  std::map<std::uint64_t, File> files_;
  std::unordered_map<std::string, std::uint64_t> by_name_;
  std::unordered_multimap<Sha256, PageRef, DigestHash> by_parent_;
  std::unordered_multimap<Sha256, PageRef, DigestHash> by_end_;  // Whole pages.
  std::uint64_t last_file_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace hearth::engine
