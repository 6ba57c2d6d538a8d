// WordPiece on a vocabulary small enough to match by hand.  Equality with the tokenizer of a real
// model is tests/e2e/embeddings_test.py.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "text/tokenizer.h"
#include "text/wordpiece_text.h"

namespace hearth::text {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

enum Id : TokenId { kPad, kUnk, kCls, kSep, kThe, kEmbed, kDing, kS, kE, kDot, kHe, kUnused };

VocabSpec spec() {
  VocabSpec made{.model = "bert",
                 .tokens = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁the", "▁embed", "ding", "s", "▁e",
                            "▁.", "▁he", "[unused0]"}};
  made.types.assign(made.tokens.size(), TokenType::kNormal);
  for (const Id id : {kPad, kUnk, kCls, kSep}) made.types[id] = TokenType::kControl;
  return made;
}

std::unique_ptr<const Tokenizer> make(VocabSpec from = spec()) {
  auto made = Tokenizer::create(std::move(from));
  EXPECT_TRUE(made) << made.error().message;
  return *std::move(made);
}

TEST(WordPiece, MatchesTheLongestTokenFromTheLeft) {
  EXPECT_THAT(make()->encode("The embeddings."), ElementsAre(kThe, kEmbed, kDing, kS, kDot));
}

TEST(WordPiece, SetsTextApartWithClsAndSep) {
  EXPECT_THAT(make()->encode("he", {.add_special = true}), ElementsAre(kCls, kHe, kSep));
  EXPECT_THAT(make()->encode("", {.add_special = true}), ElementsAre(kCls, kSep));
}

TEST(WordPiece, MakesAWordThatDoesNotMatchToItsEndUnknown) {
  EXPECT_THAT(make()->encode("embeddingx the"), ElementsAre(kUnk, kThe));
  EXPECT_THAT(make()->encode("dings"), ElementsAre(kUnk)) << "a continuation begins no word";
  EXPECT_THAT(make()->encode("e▁the"), ElementsAre(kUnk)) << "a marked token continues none";
}

TEST(WordPiece, BoundsTheLengthOfAWord) {
  const std::string longest = "e" + std::string(99, 's');
  EXPECT_EQ(make()->encode(longest).size(), 100U);
  EXPECT_THAT(make()->encode(longest + "s"), ElementsAre(kUnk));
}

TEST(WordPiece, TakesControlTokensOnlyWhereTheTextIsTrusted) {
  EXPECT_THAT(make()->encode("[CLS]"), ElementsAre(kUnk, kUnk, kUnk));
  EXPECT_THAT(make()->encode("[CLS]he", {.parse_special = true}), ElementsAre(kCls, kHe));
  EXPECT_THAT(make()->encode("[unused0]"), ElementsAre(kUnk, kUnk, kUnk));
}

TEST(WordPiece, DecodesToWordsWithSpaces) {
  const auto tokenizer = make();
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("THE embedding", {.add_special = true})),
            "the embedding");
  EXPECT_EQ(tokenizer->piece(kCls, true), "[CLS]");
  EXPECT_EQ(tokenizer->piece(99), "");
}

TEST(WordPiece, NamesTheTokenThatAVocabularyLacks) {
  VocabSpec lacking = spec();
  lacking.tokens[kUnk] = "other";
  const auto made = Tokenizer::create(std::move(lacking));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::kCorrupt);
  EXPECT_THAT(made.error().message, HasSubstr("[UNK]"));
}

TEST(WordPiece, KeepsCaseWhereTheVocabularyHasIt) {
  VocabSpec cased = spec();
  cased.tokens[kHe] = "▁He";
  EXPECT_THAT(make(cased)->encode("He THE he"), ElementsAre(kHe, kUnk, kUnk));
}

TEST(WordPieceText, SplitsPunctuationAndIdeographs) {
  EXPECT_THAT(wordpiece_words("don't  stop—now…", true),
              ElementsAre("don", "'", "t", "stop", "—", "now", "…"));
  EXPECT_THAT(wordpiece_words("a<b$c", true), ElementsAre("a", "<", "b", "$", "c"));
  EXPECT_THAT(wordpiece_words("x中文y かな", true), ElementsAre("x", "中", "文", "y", "かな"));
}

TEST(WordPieceText, FoldsCaseAndAccents) {
  EXPECT_THAT(wordpiece_words("ÉCOLE Ångström ǅ ΣΑΣ İ", true),
              ElementsAre("ecole", "angstrom", "ǆ", "σασ", "i"));
  EXPECT_THAT(wordpiece_words("e\u0301", true), ElementsAre("e"));
  EXPECT_THAT(wordpiece_words("\u0301", true), IsEmpty());
  EXPECT_THAT(wordpiece_words("École", false), ElementsAre("École"));
  EXPECT_THAT(wordpiece_words("한", true), ElementsAre("\u1112\u1161\u11AB"));
}

TEST(WordPieceText, DropsControlsAndBytesThatAreNoText) {
  EXPECT_THAT(wordpiece_words(std::string_view("a\0b\x01\xFF" "c\u200D\uFFFD", 11), true),
              ElementsAre("abc"));
  EXPECT_THAT(wordpiece_words("a\tb\nc\u00A0d\u3000e\u2028f", true),
              ElementsAre("a", "b", "c", "d", "e", "f"));
  EXPECT_THAT(wordpiece_words("", true), IsEmpty());
}

}  // namespace
}  // namespace hearth::text
