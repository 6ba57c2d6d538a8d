// Hand-written matchers against their patterns, and the table against itself.
#include "text/pre_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "base/utf8.h"
#include "text/regex_splitter.h"
#include "text/unicode_class.h"

namespace hearth::text {
namespace {

using ::testing::ElementsAre;

PreTokenizer made(std::string_view name, SplitterKind kind = SplitterKind::kFastest) {
  return std::move(PreTokenizer::create(name, kind)).value();
}

std::vector<std::string> words(const PreTokenizer& pre_tokenizer, std::string_view text) {
  std::vector<std::size_t> ends;
  pre_tokenizer.split(text, ends);
  std::vector<std::string> out;
  std::size_t begin = 0;
  for (const std::size_t end : ends) {
    out.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  EXPECT_EQ(begin, text.size());
  return out;
}

// Characters that the patterns tell apart, and some that only look as if they did.
std::string random_text(std::mt19937& random, std::size_t length) {
  static const std::vector<std::string> kParts = {
      " ",      " ",       "  ",     "\n",         "\r\n",   "\t",     "'",      "'s",     "'LL",
      "'ve",    "'\u017F", "a",      "B",          "xyz",    "1",      "23",     "4567",   ".",
      "!?",     "-",       "\u00A0", "\u3000",     "\u0085", "\u00E9", "\u0416", "\u6211", "\u0661",
      "\u00BD", "\u2014",  "\u0301", "\U0001F600", "\u200D", "\u02B0", "\u01C5", "/"};
  std::string text;
  for (std::size_t i = 0; i < length; ++i) text += kParts[random() % kParts.size()];
  return text;
}

TEST(PreTokenizer, MatchersEqualTheirPatterns) {
  std::mt19937 random(3);
  for (const std::string_view name : {"gpt-2", "llama-bpe", "qwen2", "starcoder"}) {
    const PreTokenizer fast = made(name), slow = made(name, SplitterKind::kPatternsOnly);
    for (int round = 0; round < 2000; ++round) {
      const std::string text = random_text(random, random() % 24);
      ASSERT_EQ(words(fast, text), words(slow, text)) << name << " on '" << text << "'";
    }
  }
}

TEST(PreTokenizer, MatchersEqualTheirPatternsOnInvalidUtf8) {
  std::mt19937 random(4);
  const PreTokenizer fast = made("llama-bpe"),
                     slow = made("llama-bpe", SplitterKind::kPatternsOnly);
  for (int round = 0; round < 2000; ++round) {
    std::string text = random_text(random, 1 + random() % 12);
    text[random() % text.size()] = static_cast<char>(random());
    ASSERT_EQ(words(fast, text), words(slow, text));
  }
}

TEST(PreTokenizer, CutsAsTheModelsDo) {
  EXPECT_THAT(words(made("gpt-2"), "I'll  say\n\nhi 123!"),
              ElementsAre("I", "'ll", " ", " say", "\n", "\n", "hi", " 123", "!"));
  EXPECT_THAT(words(made("llama-bpe"), "I'LL  say\n\nhi 1234!\n"),
              ElementsAre("I", "'LL", " ", " say", "\n\n", "hi", " ", "123", "4", "!\n"));
  EXPECT_THAT(words(made("qwen2"), " 12"), ElementsAre(" ", "1", "2"));
  EXPECT_THAT(words(made("starcoder"), "a 12"), ElementsAre("a", " ", "1", "2"));
  EXPECT_THAT(words(made("deepseek-llm"), "Hi \u6211\u60F3 12\n"),
              ElementsAre("Hi", " ", "\u6211\u60F3", " ", "12", "\n"));
  EXPECT_THAT(words(made("deepseek-llm"), "a   "), ElementsAre("a", "   "));
}

TEST(PreTokenizer, EveryNameIsKnownOnceAndCompiles) {
  const auto known = known_pre_tokenizers();
  EXPECT_EQ(std::ranges::adjacent_find(known), known.end());
  for (const std::string_view name : known) {
    const PreTokenizer pre_tokenizer = made(name, SplitterKind::kPatternsOnly);
    EXPECT_EQ(words(pre_tokenizer, "").size(), 0U);
    EXPECT_GE(words(pre_tokenizer, "Hello, 'wo\xFFrld' 12345  \n\n x").size(), 3U) << name;
  }
}

TEST(PreTokenizer, UnknownNameSaysWhatIsKnown) {
  const auto result = PreTokenizer::create("no-such");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kUnsupported);
  EXPECT_THAT(result.error().message, ::testing::HasSubstr("'no-such'"));
  EXPECT_THAT(result.error().message, ::testing::HasSubstr("qwen2"));
}

// A run of one character that no alternative finishes is where regular expressions go quadratic: a
// megabyte would then take minutes.
TEST(PreTokenizer, LongRunsTakeLinearTime) {
  for (const std::string_view name :
       {"llama-bpe", "gpt-2", "deepseek-llm", "deepseek-v3", "gpt-4o"}) {
    for (const char c : {'a', 'A', ' ', '\n', '7', '!'}) {
      const std::string text = std::string(std::size_t{1} << 20, c) + "x";
      const auto start = std::chrono::steady_clock::now();
      (void)words(made(name), text);
      EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20)) << name << c;
    }
  }
}

// PCRE2's own Unicode tables may be older than ours: code points that it does not know are left
// out. U+180E is a space to its \s and to nobody else since Unicode 6.3.
TEST(UnicodeClass, AgreesWithPcre2OnEveryCodePoint) {
  const auto only = [](std::string_view pattern) {
    return std::move(RegexSplitter::compile(pattern)).value();
  };
  const auto letters = only(R"(\p{L}+)"), numbers = only(R"(\p{N}+)"), spaces = only(R"(\s+)"),
             unknown = only(R"(\p{Cn}+)");
  // Whether `splitter` matches the middle of "-c-": then it is a word of its own.
  const auto matches = [](const RegexSplitter& splitter, const std::string& text) {
    std::vector<std::size_t> ends;
    const std::size_t whole[] = {text.size()};
    splitter.split(text, whole, ends);
    return ends.size() == 3;
  };
  for (char32_t c = 1; c <= 0x10FFFF; ++c) {
    if ((c >= 0xD800 && c < 0xE000) || c == 0x180E) continue;
    std::string text = "-";
    append_utf8(text, c);
    text += "-";
    const std::uint8_t bits = char_class(c);
    if (bits == kOther && (c & 0xF) != 0 && c > 0x3FFFF)
      continue;  // Planes without letters: sample.
    if (matches(unknown, text)) continue;
    ASSERT_EQ((bits & kLetter) != 0, matches(letters, text))
        << std::hex << static_cast<unsigned>(c);
    ASSERT_EQ((bits & kNumber) != 0, matches(numbers, text))
        << std::hex << static_cast<unsigned>(c);
    ASSERT_EQ((bits & kSpace) != 0, matches(spaces, text)) << std::hex << static_cast<unsigned>(c);
  }
}

TEST(RegexSplitter, BadPatternSaysWhere) {
  const auto result = RegexSplitter::compile("a(b");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kInvalidArgument);
  EXPECT_THAT(result.error().message, ::testing::HasSubstr("offset"));
}

}  // namespace
}  // namespace hearth::text
