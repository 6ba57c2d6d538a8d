// Both tokenizer families on vocabularies small enough to merge by hand.  Equality with the
// tokenizers of real models is tests/vocab_parity_test.cpp.
#include "text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "base/utf8.h"
#include "text/byte_alphabet.h"

namespace hearth::text {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Ids = std::vector<TokenId>;

void add(VocabSpec& spec, std::string text, TokenType type = TokenType::kNormal, float score = 0) {
  spec.tokens.push_back(std::move(text));
  spec.types.push_back(type);
  spec.scores.push_back(score);
}

// Ids 0 to 255 are the bytes; the merged tokens and the special ones follow.
VocabSpec bpe_spec() {
  VocabSpec spec;
  spec.model = "gpt2";
  spec.pre = "gpt-2";
  for (unsigned byte = 0; byte < 256; ++byte)
    add(spec, std::string(byte_to_letter(static_cast<std::uint8_t>(byte))));
  add(spec, "he");                                  // 256
  add(spec, "ll");                                  // 257
  add(spec, "hell");                                // 258
  add(spec, "Ġhe");                                 // 259
  add(spec, "hello");                               // 260: no merge makes it
  add(spec, "<|endoftext|>", TokenType::kControl);  // 261
  add(spec, "<|im_end|>", TokenType::kControl);     // 262
  add(spec, "<tool>", TokenType::kUserDefined);     // 263
  spec.merges = {"h e", "l l", "he ll", "Ġ he"};
  spec.scores.clear();
  spec.eos = spec.bos = 261;
  return spec;
}

// <unk> <s> </s>, the byte tokens from id 3, then pieces.
VocabSpec spm_spec() {
  VocabSpec spec;
  spec.model = "llama";
  add(spec, "<unk>", TokenType::kUnknown);
  add(spec, "<s>", TokenType::kControl);
  add(spec, "</s>", TokenType::kControl);
  constexpr char kHex[] = "0123456789ABCDEF";
  for (unsigned byte = 0; byte < 256; ++byte) {
    add(spec, std::string("<0x") + kHex[byte >> 4] + kHex[byte & 15] + ">", TokenType::kByte);
  }
  add(spec, "▁", TokenType::kNormal, -10);    // 259
  add(spec, "a", TokenType::kNormal, -11);    // 260
  add(spec, "b", TokenType::kNormal, -12);    // 261
  add(spec, "ab", TokenType::kNormal, -1);    // 262
  add(spec, "▁a", TokenType::kNormal, -2);    // 263
  add(spec, "▁ab", TokenType::kNormal, -3);   // 264
  add(spec, "bb", TokenType::kNormal, -1);    // 265
  add(spec, "▁▁", TokenType::kNormal, -4);    // 266
  add(spec, "</", TokenType::kNormal, -5);    // 267
  add(spec, "s>", TokenType::kNormal, -5);    // 268
  add(spec, "[T]", TokenType::kUserDefined);  // 269
  spec.bos = 1;
  spec.eos = 2;
  spec.unk = 0;
  return spec;
}

std::unique_ptr<const Tokenizer> make(VocabSpec spec) {
  auto made = Tokenizer::create(std::move(spec));
  EXPECT_TRUE(made) << made.error().message;
  return std::move(made).value();
}

TEST(BpeTokenizer, MergesByRank) {
  const auto tokenizer = make(bpe_spec());
  EXPECT_THAT(tokenizer->encode("hello"), ElementsAre(258, 'o'));
  // "he ll" comes before "Ġ he" in the list.
  EXPECT_THAT(tokenizer->encode("hello hello"), ElementsAre(258, 'o', ' ', 258, 'o'));
  EXPECT_THAT(tokenizer->encode(" hell he"), ElementsAre(' ', 258, 259));
  EXPECT_THAT(tokenizer->encode(""), IsEmpty());
}

TEST(BpeTokenizer, LlamaTakesWholeWordsWithoutMerging) {
  VocabSpec spec = bpe_spec();
  spec.pre = "llama-bpe";
  const auto tokenizer = make(std::move(spec));
  EXPECT_THAT(tokenizer->encode("hello"), ElementsAre(260));
  EXPECT_TRUE(tokenizer->adds_bos());
}

TEST(BpeTokenizer, EveryByteSurvives) {
  const auto tokenizer = make(bpe_spec());
  std::string all;
  for (int round = 0; round < 3; ++round) {
    for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte * (round + 1)));
  }
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(all)), all);
}

TEST(BpeTokenizer, BytesOutsideTheVocabularyAreUnknownOrDropped) {
  VocabSpec spec = bpe_spec();
  spec.tokens['z'] = "(gone)";
  EXPECT_THAT(make(spec)->encode("hez"), ElementsAre(256));
  spec.unk = 0;
  EXPECT_THAT(make(spec)->encode("hez"), ElementsAre(256, 0));
}

TEST(BpeTokenizer, SpecialTokensAreTextUnlessParsed) {
  const auto tokenizer = make(bpe_spec());
  const auto plain = tokenizer->encode("he<|im_end|>he");
  EXPECT_EQ(plain.size(), 12U);
  EXPECT_EQ(tokenizer->decode(plain), "he<|im_end|>he");
  EXPECT_THAT(tokenizer->encode("he<|im_end|>he", {.parse_special = true}),
              ElementsAre(256, 262, 256));
  // User-defined tokens are always split.
  EXPECT_THAT(tokenizer->encode("he<tool>he"), ElementsAre(256, 263, 256));
}

TEST(BpeTokenizer, PiecesOfControlTokensAreEmptyUnlessAsked) {
  const auto tokenizer = make(bpe_spec());
  EXPECT_EQ(tokenizer->piece(262), "");
  EXPECT_EQ(tokenizer->piece(262, true), "<|im_end|>");
  EXPECT_EQ(tokenizer->piece(263), "<tool>");
  EXPECT_EQ(tokenizer->piece(259), " he");
  EXPECT_EQ(tokenizer->piece(-1), "");
  EXPECT_EQ(tokenizer->piece(264), "");
}

TEST(SpmTokenizer, MergesByScoreWithASpaceInFront) {
  const auto tokenizer = make(spm_spec());
  EXPECT_THAT(tokenizer->encode("ab"), ElementsAre(264));
  EXPECT_THAT(tokenizer->encode("ab ab"), ElementsAre(264, 264));
  EXPECT_THAT(tokenizer->encode(" ab"), ElementsAre(259, 264));
  EXPECT_THAT(tokenizer->encode("  a"), ElementsAre(266, 263));
  EXPECT_THAT(tokenizer->encode(""), IsEmpty());
  // Equal scores: the leftmost pair goes first.
  EXPECT_THAT(tokenizer->encode("aabb"), ElementsAre(263, 262, 261));
}

TEST(SpmTokenizer, SpacePrefixFollowsTheFile) {
  VocabSpec spec = spm_spec();
  spec.add_space_prefix = false;
  const auto tokenizer = make(std::move(spec));
  EXPECT_THAT(tokenizer->encode("ab"), ElementsAre(262));
  EXPECT_EQ(tokenizer->decode(Ids{264}), " ab");
}

TEST(SpmTokenizer, CharactersThatAreNoTokenBecomeBytes) {
  const auto tokenizer = make(spm_spec());
  EXPECT_THAT(tokenizer->encode("é"), ElementsAre(259, 3 + 0xC3, 3 + 0xA9));
  EXPECT_THAT(tokenizer->encode("\xFF\n"), ElementsAre(259, 3 + 0xFF, 3 + 0x0A));
}

TEST(SpmTokenizer, WithoutByteTokensTheyBecomeUnknown) {
  VocabSpec spec = spm_spec();
  for (auto& type : spec.types) {
    if (type == TokenType::kByte) type = TokenType::kUnused;
  }
  for (std::size_t id = 3; id < 259; ++id) spec.tokens[id] = "[unused" + std::to_string(id) + "]";
  EXPECT_THAT(make(spec)->encode("é"), ElementsAre(259, 0, 0));
}

// "</" and "s>" would make "</s>", whose score is the best there is: text must not end a turn.
TEST(SpmTokenizer, TextNeverMergesIntoAControlToken) {
  const auto tokenizer = make(spm_spec());
  for (const TokenId id : tokenizer->encode("</s>")) EXPECT_FALSE(tokenizer->is_control(id));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("a</s>")), "a</s>");
  EXPECT_THAT(tokenizer->encode("</s>", {.parse_special = true}), ElementsAre(2));
}

TEST(SpmTokenizer, SpaceComesAgainAfterASpecialToken) {
  const auto tokenizer = make(spm_spec());
  EXPECT_THAT(tokenizer->encode("ab</s>ab", {.parse_special = true}), ElementsAre(264, 2, 264));
  EXPECT_THAT(tokenizer->encode("ab[T]ab"), ElementsAre(264, 269, 264));
}

TEST(SpmTokenizer, TokensThatCrossSpacesStillMerge) {
  VocabSpec spec = spm_spec();
  add(spec, "a▁", TokenType::kNormal, -1.5F);   // 270
  add(spec, "a▁b", TokenType::kNormal, -0.5F);  // 271
  const auto tokenizer = make(std::move(spec));
  EXPECT_THAT(tokenizer->encode("a b"), ElementsAre(259, 271));
}

TEST(SpmTokenizer, NotANumberIsTheWorstScore) {
  VocabSpec spec = spm_spec();
  spec.scores[262] = std::numeric_limits<float>::quiet_NaN();  // "ab"
  EXPECT_THAT(make(spec)->encode("aab"), ElementsAre(263, 262));
  EXPECT_THAT(make(spec)->encode("abb"), ElementsAre(263, 265));
}

TEST(Tokenizer, BosAndEosAsTheVocabularyAsks) {
  VocabSpec spec = spm_spec();
  EXPECT_THAT(make(spec)->encode("ab", {.add_special = true}), ElementsAre(1, 264));
  spec.add_bos = false;
  spec.add_eos = true;
  EXPECT_THAT(make(spec)->encode("ab", {.add_special = true}), ElementsAre(264, 2));
  EXPECT_THAT(make(bpe_spec())->encode("he", {.add_special = true}), ElementsAre(256));
}

TEST(Tokenizer, KnowsWhatEndsGeneration) {
  VocabSpec spec = bpe_spec();
  add(spec, "<|eot_id|>");                          // 264: the converter forgot its type.
  add(spec, "</s>");                                // 265: may be ordinary text.
  add(spec, "<end_of_turn>", TokenType::kControl);  // 266
  spec.scores.clear();
  spec.eot = 256;
  const auto tokenizer = make(std::move(spec));
  EXPECT_TRUE(tokenizer->is_end_of_generation(261));
  EXPECT_TRUE(tokenizer->is_end_of_generation(262));
  EXPECT_TRUE(tokenizer->is_end_of_generation(264));
  EXPECT_TRUE(tokenizer->is_control(264));
  EXPECT_FALSE(tokenizer->is_end_of_generation(265));
  EXPECT_TRUE(tokenizer->is_end_of_generation(266));
  EXPECT_TRUE(tokenizer->is_end_of_generation(256));
  EXPECT_FALSE(tokenizer->is_end_of_generation(257));
  EXPECT_FALSE(tokenizer->is_end_of_generation(-1));
  EXPECT_FALSE(tokenizer->is_end_of_generation(100000));
}

TEST(Tokenizer, FindsByStoredText) {
  const auto tokenizer = make(bpe_spec());
  EXPECT_EQ(tokenizer->find("Ġhe"), 259);
  EXPECT_EQ(tokenizer->find("<|im_end|>"), 262);
  EXPECT_EQ(tokenizer->find(" he"), std::nullopt);
  EXPECT_EQ(tokenizer->token_text(259), "Ġhe");
  EXPECT_EQ(tokenizer->token_text(-1), "");
}

TEST(Tokenizer, RefusesBrokenVocabularies) {
  const auto refused = [](VocabSpec spec, Code code, const char* words) {
    const auto result = Tokenizer::create(std::move(spec));
    ASSERT_FALSE(result) << words;
    EXPECT_EQ(result.error().code, code);
    EXPECT_THAT(result.error().message, HasSubstr(words));
  };
  const VocabSpec good = bpe_spec();
  VocabSpec spec = good;
  spec.model = "t5";
  refused(spec, Code::kUnsupported, "'t5'");
  spec = good;
  spec.pre = "nobody";
  refused(spec, Code::kUnsupported, "'nobody'");
  spec = good;
  spec.eos = static_cast<TokenId>(spec.tokens.size());
  refused(spec, Code::kCorrupt, "eos token is 264");
  spec.eos = -1;
  refused(spec, Code::kCorrupt, "eos token is -1");
  spec = good;
  spec.types.pop_back();
  refused(spec, Code::kCorrupt, "264 tokens but 263 token types");
  spec = good;
  spec.scores = {1.0F};
  refused(spec, Code::kCorrupt, "264 tokens but 1 scores");
  spec = good;
  spec.merges.emplace_back("h zz");
  refused(spec, Code::kCorrupt, "'zz' is no token");
  spec.merges.back() = "h x";
  refused(spec, Code::kCorrupt, "'hx' is no token");
  spec.merges.back() = "hx";
  refused(spec, Code::kCorrupt, "'hx'");
  refused(VocabSpec{.model = "llama"}, Code::kCorrupt, "0 tokens");
}

// Quadratic merging would take minutes here, on any machine.
TEST(Tokenizer, LongRunsTakeNearLinearTime) {
  const auto bpe = make(bpe_spec()), spm = make(spm_spec());
  for (const char c : {'l', 'b', ' ', '\n', '\xFF'}) {
    const std::string text(std::size_t{1} << 20, c);
    for (const auto* tokenizer : {bpe.get(), spm.get()}) {
      const auto start = std::chrono::steady_clock::now();
      EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
      EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
    }
  }
}

// Words longer than the limit are cut; nothing is lost at the cut.
TEST(Tokenizer, WordsBeyondTheLimitStillRoundTrip) {
  std::string text;
  while (text.size() < (std::size_t{4} << 20) + 100) text += "bé";
  for (const auto& tokenizer : {make(bpe_spec()), make(spm_spec())}) {
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
  }
}

TEST(StreamDecoder, NeverSplitsACodePoint) {
  const auto tokenizer = make(bpe_spec());
  const std::string text = "a\u00E9\u20AC\U0001F600b";
  StreamDecoder decoder(*tokenizer);
  std::string all;
  for (const TokenId id : tokenizer->encode(text)) {
    const std::string part = decoder.push(id);
    EXPECT_TRUE(is_valid_utf8(part));
    all += part;
  }
  EXPECT_EQ(all + decoder.flush(), text);
}

TEST(StreamDecoder, ReplacesWhatCanNeverComplete) {
  const auto tokenizer = make(bpe_spec());
  StreamDecoder decoder(*tokenizer);
  EXPECT_EQ(decoder.push(0xE2), "");
  EXPECT_EQ(decoder.push('a'), "\uFFFDa");
  EXPECT_EQ(decoder.push(0xFF), "\uFFFD");
  EXPECT_EQ(decoder.push(0xF0), "");
  EXPECT_EQ(decoder.push(0x9F), "");
  EXPECT_EQ(decoder.flush(), "\uFFFD\uFFFD");
  EXPECT_EQ(decoder.flush(), "");
}

TEST(StreamDecoder, DropsTheAddedSpaceOnlyAtTheStartOfAText) {
  const auto tokenizer = make(spm_spec());
  StreamDecoder continued(*tokenizer);
  EXPECT_EQ(continued.push(264), " ab");
  StreamDecoder whole(*tokenizer, false, true);
  EXPECT_EQ(whole.push(1), "");
  EXPECT_EQ(whole.push(264), "ab");
  EXPECT_EQ(whole.push(264), " ab");
}

TEST(StreamDecoder, ShowsControlTokensOnRequest) {
  const auto tokenizer = make(bpe_spec());
  EXPECT_EQ(StreamDecoder(*tokenizer).push(262), "");
  EXPECT_EQ(StreamDecoder(*tokenizer, true).push(262), "<|im_end|>");
}

// Random texts, both families: what comes back is what went in.
TEST(Tokenizer, RandomTextsRoundTrip) {
  std::mt19937 random(5);
  const auto bpe = make(bpe_spec()), spm = make(spm_spec());
  for (int round = 0; round < 500; ++round) {
    std::string text;
    for (std::size_t i = random() % 40; i > 0; --i)
      text.push_back("ab hel\xC3\xA9\n"[random() % 9]);
    EXPECT_EQ(bpe->decode(bpe->encode(text)), text);
    EXPECT_EQ(spm->decode(spm->encode(text)), text);
  }
}

}  // namespace
}  // namespace hearth::text
