// Special tokens against a search that tries every token at every place.
#include "text/special_tokens.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

namespace hearth::text {
namespace {

std::vector<std::int32_t> all_ids(const std::vector<std::string>& texts) {
  std::vector<std::int32_t> ids(texts.size());
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

// A search over all of `texts`, with what it borrows.
struct Specials {
  explicit Specials(const std::vector<std::string>& texts)
      : owned(texts), ids(SpecialTokens::build(owned.view(), all_ids(texts))) {}
  SpecialTokens::Match find(std::string_view text, std::size_t pos) const {
    return SpecialTokens(owned.view(), ids).find(text, pos);
  }
  OwnedTexts owned;
  std::vector<std::int32_t> ids;
};

SpecialTokens::Match find_slowly(const std::vector<std::string>& texts, std::string_view text,
                                 std::size_t pos) {
  for (; pos < text.size(); ++pos) {
    SpecialTokens::Match best{pos, 0, -1};
    for (std::size_t id = 0; id < texts.size(); ++id) {
      if (texts[id].size() > best.length && text.substr(pos).starts_with(texts[id])) {
        best = {pos, texts[id].size(), static_cast<std::int32_t>(id)};
      }
    }
    if (best.length > 0) return best;
  }
  return {text.size(), 0, -1};
}

TEST(SpecialTokens, LeftmostThenLongest) {
  const std::vector<std::string> texts = {"<a>", "<a>b", "b", ""};
  const Specials specials(texts);
  EXPECT_EQ(specials.find("x<a>bb", 0).id, 1);
  EXPECT_EQ(specials.find("x<a>bb", 0).pos, 1U);
  EXPECT_EQ(specials.find("x<a>bb", 2).id, 2);
  EXPECT_EQ(specials.find("x<a", 0).pos, 3U);
  EXPECT_EQ(SpecialTokens().find("abc", 0).pos, 3U);
}

TEST(SpecialTokens, LengthLimitHasTwoSides) {
  const std::vector<std::string> texts = {std::string(kSpecialBytesMax, 'x'),
                                          std::string(kSpecialBytesMax + 1, 'y')};
  const Specials specials(texts);
  EXPECT_EQ(specials.find(texts[0], 0).id, 0);
  EXPECT_EQ(specials.find(texts[1], 0).id, -1);
}

TEST(SpecialTokens, EqualsTheSlowSearchOnRandomTexts) {
  std::mt19937 random(2);
  const auto random_text = [&](std::size_t length) {
    std::string text;
    for (std::size_t i = 0; i < length; ++i) text.push_back("ab\xFF"[random() % 3]);
    return text;
  };
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < 1 + random() % 12; ++i)
      texts.push_back(random_text(1 + random() % 5));
    const Specials specials(texts);
    const std::string text = random_text(random() % 40);
    for (std::size_t pos = 0; pos <= text.size(); ++pos) {
      const auto fast = specials.find(text, pos), slow = find_slowly(texts, text, pos);
      ASSERT_EQ(fast.pos, slow.pos);
      ASSERT_EQ(fast.length, slow.length);
      ASSERT_EQ(fast.id, slow.id);
    }
  }
}

}  // namespace
}  // namespace hearth::text
