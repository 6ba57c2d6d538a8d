// Masks against their slow twin: every token of the vocabulary tried byte by byte.
#include "text/grammar/constraint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "text/grammar/constraint_cache.h"
#include "text/grammar/stacks.h"

namespace hearth::text::grammar {
namespace {

using ::testing::HasSubstr;

constexpr TokenId kEnd = 0;

// Every byte, and words that begin, end and span the parts of JSON; halves of code points among
// them.
std::shared_ptr<const Lexicon> made_up_lexicon(bool with_bytes = true) {
  std::vector<std::string> pieces = {"", ""};  // The end token, and one that is no text.
  for (int byte = 0; with_bytes && byte < 256; ++byte)
    pieces.emplace_back(1, static_cast<char>(byte));
  const char* const parts[] = {"\"", "{",    "}",     "[",    "]",       ",",    ":",    " ",
                               "\n", "a",    "ab",    "name", "tr",      "true", "null", "1",
                               "23", "-",    ".",     "e",    "\\",      "\\u",  "\\n",  "00",
                               "é",  "\xc3", "\xa9x", "😀",   "\xf0\x9f"};
  for (const char* const a : parts) {
    pieces.emplace_back(a);
    for (const char* const b : parts) {
      pieces.push_back(std::string(a) + b);
      if (*b == '"' || *b == ',') {
        for (const char* const c : parts) pieces.push_back(std::string(a) + b + c);
      }
    }
  }
  pieces.emplace_back(50, 'a');
  return Lexicon::create(std::move(pieces), {kEnd});
}

bool has_bit(const std::vector<std::uint64_t>& mask, TokenId id) {
  const auto bit = static_cast<std::size_t>(id);
  return (mask[bit / 64] >> (bit % 64) & 1) != 0;
}

const std::vector<GrammarPtr>& grammars() {
  static const std::vector<GrammarPtr> made = [] {
    std::vector<GrammarPtr> all;
    for (
        const char* const schema :
        {R"({"type":"object","properties":{"name":{"type":"string"},"a":{"type":"integer"},"ab":{"type":"array","items":{"type":"number"}}},"required":["a"]})",
         R"({"type":"object","properties":{"name":{"type":"string","maxLength":60},"a":{"type":"string","minLength":3,"maxLength":9}},"required":["name","a"]})",
         R"({"$ref":"#/$defs/t","$defs":{"t":{"type":"object","properties":{"a":{"enum":["a","ab","é"]},"name":{"anyOf":[{"$ref":"#/$defs/t"},{"type":"null"}]}},"required":["a","name"]}}})",
         R"({"type":"object","additionalProperties":{"type":"string","pattern":"^[a-eé]{2,30}$"},"properties":{"ab":{"type":"boolean"}}})",
         R"({"type":"array","minItems":60,"items":{"minimum":-12.5,"exclusiveMaximum":100,"type":"number"}})",
         "true"}) {
      all.push_back(compile_json_schema(schema).value());
    }
    all.push_back(compile_json_object().value());
    all.push_back(compile_regex("(a|ab|é)*[^x]?(true|null){30,90}").value());
    all.push_back(compile_gbnf("root ::= s+\ns ::= \"[\" s* \"]\" | \"a\" | \"a\" s").value());
    return all;
  }();
  return made;
}

// Walks at random; at each step compares the mask with the twin.
void walk(const GrammarPtr& grammar, const std::shared_ptr<const Lexicon>& lexicon,
          std::size_t cache_bytes_max, unsigned seed) {
  std::mt19937 random(seed);
  const auto constraint = std::make_shared<Constraint>(grammar, lexicon, cache_bytes_max);
  Matcher matcher(constraint);
  Stacks twin(grammar->automaton);
  SetId set = twin.start();
  std::string text;
  std::vector<std::uint64_t> mask(matcher.mask_words());
  for (int step = 0; step < 60; ++step) {
    ASSERT_TRUE(matcher.fill_mask(mask)) << text;
    std::vector<TokenId> allowed;
    for (std::uint32_t i = 0; i < lexicon->n_vocab(); ++i) {
      const auto id = static_cast<TokenId>(i);
      SetId after = set;
      for (const char byte : lexicon->piece(id))
        after = twin.step(after, static_cast<std::uint8_t>(byte));
      const bool is_text = !lexicon->piece(id).empty();
      const bool is_allowed = id == kEnd ? twin.has(set, kEndFrame) : is_text && after != kDeadSet;
      ASSERT_EQ(has_bit(mask, id), is_allowed) << text << " then '" << lexicon->piece(id) << "'";
      if (is_allowed) allowed.push_back(id);
    }
    EXPECT_EQ(matcher.can_end(), matches(*grammar, text));
    const TokenId id = allowed[random() % allowed.size()];
    if (id == kEnd) return;
    ASSERT_TRUE(matcher.accept(id));
    text += lexicon->piece(id);
    for (const char byte : lexicon->piece(id))
      set = twin.step(set, static_cast<std::uint8_t>(byte));
    EXPECT_EQ(matcher.is_complete(), twin.frames_of(set).size() == 1 && twin.has(set, kEndFrame));
    if (matcher.is_complete()) return;
  }
}

TEST(Constraint, MasksAreThoseOfTheSlowTwin) {
  const auto lexicon = made_up_lexicon();
  for (const GrammarPtr& grammar : grammars()) {
    for (unsigned seed = 0; seed < 6; ++seed) walk(grammar, lexicon, kCacheBytesMax, seed);
  }
}

TEST(Constraint, ForgettingChangesNothing) {
  const auto lexicon = made_up_lexicon();
  for (const GrammarPtr& grammar : grammars()) walk(grammar, lexicon, 1000, 7);
}

TEST(Constraint, AnswersOfManyThreadsShareIt) {
  const auto lexicon = made_up_lexicon();
  const auto constraint = std::make_shared<Constraint>(grammars()[0], lexicon, 100'000);
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      Matcher matcher(constraint);
      std::vector<std::uint64_t> mask(matcher.mask_words());
      for (int step = 0; step < 100 && !matcher.is_complete(); ++step) {
        ASSERT_TRUE(matcher.fill_mask(mask));
        TokenId id = 0;
        do id = static_cast<TokenId>(random() % lexicon->n_vocab());
        while (!has_bit(mask, id) || id == kEnd);
        ASSERT_TRUE(matcher.accept(id));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Constraint, ForcedTextLeavesOneWay) {
  const auto lexicon = made_up_lexicon();
  Matcher matcher(std::make_shared<Constraint>(compile_regex("é").value(), lexicon));
  std::vector<std::uint64_t> mask(matcher.mask_words());
  ASSERT_TRUE(matcher.fill_mask(mask));
  EXPECT_FALSE(has_bit(mask, kEnd));
  EXPECT_TRUE(has_bit(mask, 2 + 0xC3));
  EXPECT_FALSE(matcher.accept(2 + 'x'));
  EXPECT_FALSE(matcher.can_end());
}

TEST(Constraint, EndsWithAnErrorWhereNothingFits) {
  const auto lexicon = made_up_lexicon(/*with_bytes=*/false);
  Matcher matcher(std::make_shared<Constraint>(compile_regex("Q+").value(), lexicon));
  std::vector<std::uint64_t> mask(matcher.mask_words());
  const auto filled = matcher.fill_mask(mask);
  ASSERT_FALSE(filled);
  EXPECT_THAT(filled.error().message, HasSubstr("no token of the model's vocabulary"));
}

TEST(Constraint, ATooAmbiguousGrammarEndsWithAnError) {
  // Each `a` may stand at any of several depths, with different ways back.
  const auto grammar = compile_gbnf(
                           "root ::= x x x\nx ::= \"a\" x \"b\" | \"a\" x \"c\" | \"a\" x \"bb\" | "
                           "\"a\" x x \"d\" | \"a\"")
                           .value();
  Matcher matcher(std::make_shared<Constraint>(grammar, made_up_lexicon()));
  std::vector<std::uint64_t> mask(matcher.mask_words());
  for (int step = 0; step < 40; ++step) {
    if (const auto filled = matcher.fill_mask(mask); !filled) {
      EXPECT_EQ(filled.error().code, Code::kInvalidArgument);
      EXPECT_THAT(filled.error().message, HasSubstr("less ambiguous"));
      return;
    }
    if (const auto accepted = matcher.accept(2 + 'a'); !accepted) {
      EXPECT_THAT(accepted.error().message, HasSubstr("less ambiguous"));
      return;
    }
  }
  FAIL() << "it never became too ambiguous";
}

TEST(ConstraintCache, KeepsTheLatestGrammars) {
  VocabSpec spec{.model = "llama", .tokens = {"<unk>", "</s>", "a"}};
  spec.types = {TokenType::kUnknown, TokenType::kControl, TokenType::kNormal};
  spec.scores = {0, 0, 0};
  spec.unk = 0;
  spec.eos = 1;
  const auto tokenizer = Tokenizer::create(std::move(spec)).value();
  ConstraintCache cache(*tokenizer);
  const auto first = cache.get(compile_regex("a").value());
  EXPECT_EQ(first, cache.get(compile_regex("a").value()));
  EXPECT_NE(first, cache.get(compile_gbnf("root ::= \"a\"").value()));
  for (std::size_t i = 0; i < kConstraintsMax; ++i) {
    (void)cache.get(compile_regex("a{" + std::to_string(i + 2) + "}").value());
  }
  EXPECT_NE(first, cache.get(compile_regex("a").value()));
  Matcher matcher(first);
  std::vector<std::uint64_t> mask(matcher.mask_words());
  ASSERT_TRUE(matcher.fill_mask(mask));
  EXPECT_EQ(mask[0], 0b100U);
  ASSERT_TRUE(matcher.accept(2));
  ASSERT_TRUE(matcher.fill_mask(mask));
  EXPECT_EQ(mask[0], 0b010U);
}

}  // namespace
}  // namespace hearth::text::grammar
