// The head of a snapshot: what was written comes back, and what was damaged does not.
#include "engine/snapshot_file.h"

#include <gtest/gtest.h>

#include "engine/snapshot_for_test.h"

namespace hearth::engine {
namespace {

SnapshotHead make_head(std::uint32_t n_tokens, std::uint32_t first_page = 0) {
  SnapshotHead head{.build = 3,
                    .key = snapshot_key(3, 5, FakePages::layout()),
                    .first_page = first_page,
                    .page_bytes = FakePages::layout().page_bytes(),
                    .tokens = random_text(n_tokens, 1),
                    .n_logits = 40,
                    .logits_sum = 11,
                    .token_us = 12,
                    .label = "a model"};
  head.parent = first_page == 0 ? head.key : page_digest(head.key, 0, head.tokens);
  head.adapters.resize((n_tokens + 31) / 32, 9);
  head.page_sums.resize(head.adapters.size(), 10);
  return head;
}

std::vector<std::byte> bytes_of(const SnapshotHead& head) {
  const std::string text = encode_snapshot_head(head);
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

TEST(SnapshotFile, HeadComesBack) {
  for (const std::uint32_t n_tokens : {1U, 31U, 32U, 33U, 2000U, 65536U}) {
    for (const std::uint32_t first_page : {0U, 7U}) {
      const SnapshotHead head = make_head(n_tokens, first_page);
      const auto bytes = bytes_of(head);
      ASSERT_EQ(bytes.size(), head.head_bytes());
      EXPECT_EQ(bytes.size() % kSnapshotAlign, 0U);
      EXPECT_EQ(*snapshot_head_bytes(std::span(bytes).first(kSnapshotAlign)), bytes.size());
      const auto back = decode_snapshot_head(bytes, head.file_bytes());
      ASSERT_TRUE(back) << back.error().message;
      EXPECT_EQ(back->tokens, head.tokens);
      EXPECT_EQ(back->adapters, head.adapters);
      EXPECT_EQ(back->page_sums, head.page_sums);
      EXPECT_EQ(back->key, head.key);
      EXPECT_EQ(back->parent, head.parent);
      EXPECT_EQ(back->label, head.label);
      EXPECT_EQ(back->first_page, first_page);
      EXPECT_EQ(back->n_logits, 40U);
      EXPECT_EQ(back->token_us, 12U);
      EXPECT_EQ(back->file_bytes(), head.file_bytes());
    }
  }
}

TEST(SnapshotFile, EveryByteOfAHeadMatters) {
  const SnapshotHead head = make_head(100);
  const auto good = bytes_of(head);
  for (std::size_t i = 0; i < good.size(); ++i) {
    auto bytes = good;
    bytes[i] ^= std::byte{0x10};
    EXPECT_FALSE(decode_snapshot_head(bytes, head.file_bytes())) << "byte " << i;
  }
}

TEST(SnapshotFile, EveryPrefixIsRefused) {
  const SnapshotHead head = make_head(100);
  const auto good = bytes_of(head);
  for (std::size_t n = 0; n < good.size(); ++n) {
    EXPECT_FALSE(decode_snapshot_head(std::span(good).first(n), head.file_bytes())) << n;
  }
  EXPECT_FALSE(decode_snapshot_head(good, head.file_bytes() - 1));
  EXPECT_FALSE(decode_snapshot_head(good, head.file_bytes() + 1));
}

TEST(SnapshotFile, CountsOverTheirLimitsAreRefused) {
  const auto refuses = [](SnapshotHead head) {
    return !decode_snapshot_head(bytes_of(head), head.file_bytes());
  };
  SnapshotHead head = make_head(100);
  head.label.assign(kSnapshotLabelBytesMax + 1, 'x');
  EXPECT_TRUE(refuses(head));
  head = make_head(100);
  head.n_logits = kSnapshotLogitsMax + 1;
  EXPECT_TRUE(refuses(head));
  head = make_head(100);
  head.page_bytes = kSnapshotPageBytesMax + 1;
  EXPECT_TRUE(refuses(head));
  head = make_head(100);
  head.adapters.pop_back();
  head.page_sums.pop_back();  // 100 tokens in 3 pages.
  EXPECT_TRUE(refuses(head));
  head = make_head(100);
  head.parent[0] ^= 1;  // Nothing is before the first page.
  EXPECT_TRUE(refuses(head));
}

TEST(SnapshotFile, KeysTellEverythingApart) {
  const model::KvLayout layout = FakePages::layout();
  const Sha256 key = snapshot_key(1, 2, layout);
  EXPECT_EQ(key, snapshot_key(1, 2, layout));
  EXPECT_NE(key, snapshot_key(2, 2, layout));
  EXPECT_NE(key, snapshot_key(1, 3, layout));
  for (const auto change : {&model::KvLayout::n_layers, &model::KvLayout::n_kv_heads,
                            &model::KvLayout::head_dim, &model::KvLayout::n_memories,
                            &model::KvLayout::memory_width}) {
    model::KvLayout other = layout;
    ++(other.*change);
    EXPECT_NE(key, snapshot_key(1, 2, other));
  }
  model::KvLayout other = layout;
  other.type = model::KvType::kQ8_0;
  EXPECT_NE(key, snapshot_key(1, 2, other));

  const std::vector<TokenId> tokens = random_text(32, 1);
  const Sha256 digest = page_digest(key, 0, tokens);
  EXPECT_NE(digest, page_digest(key, 1, tokens));
  EXPECT_NE(digest, page_digest(digest, 0, tokens));
  EXPECT_NE(digest, page_digest(key, 0, random_text(32, 2)));
}

}  // namespace
}  // namespace hearth::engine
