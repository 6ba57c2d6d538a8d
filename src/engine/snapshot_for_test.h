// Texts, pages and a folder of snapshots, for tests.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "base/temp_folder_for_test.h"
#include "engine/snapshot_folder.h"

namespace hearth::engine {

// A folder that goes with the test; snapshots lie in one that Hearth makes within it.
class SnapshotTempFolder {
 public:
  std::filesystem::path path() const { return root_.path() / "snapshots"; }
  std::vector<std::filesystem::path> files() const {
    std::vector<std::filesystem::path> all;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(path(), error)) {
      if (entry.path().extension() == ".kv") all.push_back(entry.path());
    }
    std::ranges::sort(all);
    return all;
  }
  // As a person might at any time: what a writer puts there meanwhile goes, too.
  void vanish() const { EXPECT_TRUE(TempFolder::remove(path())); }
  SnapshotFolderOptions options(std::uint64_t bytes_max = std::uint64_t{64} << 20) const {
    return {.folder = path(), .bytes_max = bytes_max, .disk_free_bytes_min = 0};
  }

 private:
  TempFolder root_{"kv"};
};

inline bool go_on() { return true; }

// Pages of a tiny model, whose bytes are a function of the text before their end.
class FakePages {
 public:
  static model::KvLayout layout() { return {.n_layers = 1, .n_kv_heads = 1, .head_dim = 32}; }
  static constexpr std::uint32_t kVocab = 40;

  static SnapshotText text(std::vector<TokenId> tokens, std::uint64_t model = 1) {
    SnapshotText text;
    text.key = snapshot_key(7, model, layout());
    text.tokens = std::move(tokens);
    text.page_bytes = layout().page_bytes();
    text.n_vocab = kVocab;
    return text;
  }

  // Token t's numbers follow from it and those before it.
  static std::vector<std::byte> page(const SnapshotText& text, std::uint32_t page) {
    const std::size_t page_bytes = layout().page_bytes();
    std::vector<std::byte> bytes(page_bytes, std::byte{0xee});
    const auto end = std::min<std::size_t>(text.tokens.size(), (page + 1) * model::kPageTokens);
    for (std::size_t i = page * model::kPageTokens; i < end; ++i) {
      const std::uint64_t sum = hash64(std::as_bytes(std::span(text.tokens).first(i + 1)));
      const std::size_t slot = i % model::kPageTokens;
      for (std::size_t d = 0; d < 32; ++d) {
        const auto number = static_cast<std::uint16_t>((sum >> (d % 40)) & 0x3bff);
        std::memcpy(&bytes[layout().key_offset(0, 0) + (d * 32 + slot) * 2], &number, 2);
        std::memcpy(&bytes[layout().value_offset(0, 0) + (slot * 32 + d) * 2], &number, 2);
      }
    }
    return bytes;
  }

  explicit FakePages(SnapshotText text, std::uint32_t n_prompt = 0) {
    draft.text = std::move(text);
    draft.layout = layout();
    draft.label = "fake";
    draft.n_prompt = n_prompt;
    if (n_prompt > 0) draft.logits = logits(draft.text, n_prompt);
    const std::size_t n_pages = (draft.text.tokens.size() + 31) / 32;
    for (std::uint32_t i = 0; i < n_pages; ++i) bytes.push_back(page(draft.text, i));
    for (const auto& each : bytes) draft.pages.push_back(each.data());
  }
  static std::vector<float> logits(const SnapshotText& text, std::uint32_t n_prompt) {
    const std::uint64_t sum = hash64(std::as_bytes(std::span(text.tokens).first(n_prompt)));
    std::vector<float> values(kVocab);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>((sum >> i) % 997);
    return values;
  }

  SnapshotDraft draft;
  std::vector<std::vector<std::byte>> bytes;
};

inline std::vector<TokenId> random_text(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<TokenId> tokens(n);
  for (TokenId& id : tokens) id = static_cast<TokenId>(2 + random() % 38);
  return tokens;
}

}  // namespace hearth::engine
