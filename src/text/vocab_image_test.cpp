// Images of tokenizers: the same wherever they lie, and refused once a byte of them is not.
#include "text/vocab_image.h"

#include <gtest/gtest.h>

#include <cstring>

#include "text/byte_alphabet.h"

namespace hearth::text {
namespace {

VocabSpec bpe_spec() {
  VocabSpec spec{.model = "gpt2", .pre = "gpt-2"};
  for (unsigned byte = 0; byte < 256; ++byte) {
    spec.tokens.emplace_back(byte_to_letter(static_cast<std::uint8_t>(byte)));
  }
  for (const char* text : {"he", "ll", "hell", "hello", "<|im_end|>"}) spec.tokens.emplace_back(text);
  spec.merges = {"h e", "l l", "he ll", "hell o"};
  spec.types.assign(spec.tokens.size(), TokenType::kNormal);
  spec.types.back() = TokenType::kControl;
  return spec;
}

VocabSpec spm_spec() {
  VocabSpec spec{.model = "llama"};
  spec.tokens = {"<unk>", "<s>", "</s>", "\u2581", "a", "b", "ab", "\u2581ab"};
  spec.scores = {0, 0, 0, -5, -5, -5, -1, -2};
  spec.types = {TokenType::kUnknown, TokenType::kControl, TokenType::kControl, TokenType::kNormal,
                TokenType::kNormal,  TokenType::kNormal,  TokenType::kNormal,  TokenType::kNormal};
  return spec;
}

VocabSpec wordpiece_spec() {
  VocabSpec spec{.model = "bert"};
  spec.tokens = {"[CLS]", "[SEP]", "[UNK]", "\u2581ab", "c"};
  spec.types.assign(5, TokenType::kNormal);
  return spec;
}

TEST(VocabImage, OpensAnywhereAndTokenizesAlike) {
  for (const VocabSpec& spec : {bpe_spec(), spm_spec(), wordpiece_spec()}) {
    const auto built = Tokenizer::create(spec);
    ASSERT_TRUE(built) << built.error().message;
    const std::vector<std::byte> image = Tokenizer::make_image(spec).value();
    EXPECT_EQ(image, Tokenizer::make_image(spec).value());  // Equal from equals.

    const auto moved = std::make_shared<std::vector<std::byte>>(image.size() + 8);
    std::ranges::copy(image, moved->begin() + 8);
    const auto opened = Tokenizer::from_image(std::span(*moved).subspan(8), moved);
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_EQ((*opened)->n_vocab(), spec.tokens.size());
    for (const char* text : {"hello he<|im_end|>", "ab a b", "abc <s>", "", "\xFF\xE2"}) {
      const EncodeOptions options{.add_special = true, .parse_special = true};
      EXPECT_EQ((*opened)->encode(text, options), (*built)->encode(text, options)) << text;
    }
    for (TokenId id = -1; id <= static_cast<TokenId>(spec.tokens.size()); ++id) {
      EXPECT_EQ((*opened)->piece(id, true), (*built)->piece(id, true));
      EXPECT_EQ((*opened)->is_end_of_generation(id), (*built)->is_end_of_generation(id));
      EXPECT_EQ((*opened)->is_control(id), (*built)->is_control(id));
    }
  }
}

TEST(VocabImage, EachCorruptByteAndEachPrefixIsRefused) {
  std::vector<std::byte> image = Tokenizer::make_image(spm_spec()).value();
  for (std::size_t i = 0; i < image.size(); ++i) {
    image[i] ^= std::byte{0x10};
    EXPECT_FALSE(read_vocab_image(image)) << "byte " << i;
    image[i] ^= std::byte{0x10};
    EXPECT_FALSE(read_vocab_image(std::span(image).first(i))) << "prefix " << i;
  }
  EXPECT_TRUE(read_vocab_image(image));
}

TEST(VocabImage, AnotherVersionIsToBeBuiltAgain) {
  std::vector<std::byte> image = Tokenizer::make_image(spm_spec()).value();
  const std::uint32_t version = kVocabImageVersion + 1;
  std::memcpy(image.data() + 8, &version, sizeof version);
  const auto opened = Tokenizer::from_image(image, nullptr);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::kUnsupported);
}

}  // namespace
}  // namespace hearth::text
