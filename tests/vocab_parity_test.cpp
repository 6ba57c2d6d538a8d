// Ids equal to those of seven real tokenizers, from vocabulary files and texts that lie outside the
// project (shared/vocab), and of small made ones of families that are not there (tests/vocab):
// NAME.gguf, NAME.inp with texts between separator lines, and NAME.out with the ids of one text per
// line.  No BOS; special tokens are text.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"
#include "model/vocab.h"
#include "text/tokenizer.h"

namespace hearth {
namespace {

constexpr std::string_view kSeparator = "\n__ggml_vocab_test__\n";

std::filesystem::path shared_file(std::string_view name, std::string_view extension) {
  const std::string file = fmt::format("{}.{}", name, extension);
  const auto own = std::filesystem::path(HEARTH_SOURCE_DIR) / "tests" / "vocab" / file;
  if (std::filesystem::exists(own)) return own;
  return std::filesystem::path(HEARTH_SHARED_DIR) / "vocab" / file;
}

std::vector<std::string> split(std::string_view text, std::string_view separator) {
  std::vector<std::string> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + separator.size());
  }
}

// "1 2 3" of a line with any spaces around.
std::string trimmed(std::string_view line) {
  const std::size_t first = line.find_first_not_of(' ');
  if (first == std::string_view::npos) return {};
  return std::string(line.substr(first, line.find_last_not_of(' ') - first + 1));
}

class VocabParity : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(shared_file(GetParam(), "gguf"))) {
      GTEST_SKIP() << "no vocabulary '" << GetParam() << "' in " HEARTH_SHARED_DIR "/vocab";
    }
    auto loaded = model::load_tokenizer(shared_file(GetParam(), "gguf"));
    ASSERT_TRUE(loaded) << loaded.error().message;
    tokenizer_ = std::move(loaded).value();
  }

  std::unique_ptr<const text::Tokenizer> tokenizer_;
};

TEST_P(VocabParity, IdsAreEqual) {
  const auto texts = split(read_file(shared_file(GetParam(), "inp")).value(), kSeparator);
  auto lines = split(read_file(shared_file(GetParam(), "out")).value(), "\n");
  lines.resize(std::max(lines.size(), texts.size()));  // An empty last text may have no line.
  ASSERT_GT(texts.size(), 10U);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(fmt::format("{}", fmt::join(tokenizer_->encode(texts[i]), " ")), trimmed(lines[i]))
        << "text " << i << ": '" << texts[i] << "'";
  }
}

// What is kept and mapped is what was built: the same ids, opened in a fraction of the time.
TEST_P(VocabParity, ImageOpensAsTheSameTokenizer) {
  const auto file = gguf::GgufFile::open(shared_file(GetParam(), "gguf")).value();
  const auto started = std::chrono::steady_clock::now();
  const auto image = std::make_shared<const std::vector<std::byte>>(
      text::Tokenizer::make_image(model::vocab_from_gguf(file).value()).value());
  const auto built = std::chrono::steady_clock::now();
  const auto opened = text::Tokenizer::from_image(*image, image);
  const auto ready = std::chrono::steady_clock::now();
  ASSERT_TRUE(opened) << opened.error().message;
  const auto us = [](auto a, auto b) {
    return std::chrono::duration_cast<std::chrono::microseconds>(b - a).count();
  };
  fmt::print("{}: built in {} us, {} bytes, opened in {} us\n", GetParam(), us(started, built),
             image->size(), us(built, ready));

  for (const auto& text : split(read_file(shared_file(GetParam(), "inp")).value(), kSeparator)) {
    for (const bool special : {false, true}) {
      const text::EncodeOptions options{.add_special = special, .parse_special = special};
      EXPECT_EQ((*opened)->encode(text, options), tokenizer_->encode(text, options));
    }
  }
  ASSERT_EQ((*opened)->n_vocab(), tokenizer_->n_vocab());
  for (std::uint32_t i = 0; i < tokenizer_->n_vocab(); ++i) {
    const auto id = static_cast<text::TokenId>(i);
    ASSERT_EQ((*opened)->piece(id, true), tokenizer_->piece(id, true)) << i;
    ASSERT_EQ((*opened)->is_end_of_generation(id), tokenizer_->is_end_of_generation(id)) << i;
    ASSERT_EQ((*opened)->is_control(id), tokenizer_->is_control(id)) << i;
  }
}

TEST_P(VocabParity, TextsComeBack) {
  for (const auto& text : split(read_file(shared_file(GetParam(), "inp")).value(), kSeparator)) {
    const auto ids = tokenizer_->encode(text);
    EXPECT_EQ(tokenizer_->decode(ids), text);
    text::StreamDecoder stream(*tokenizer_, false, true);
    std::string streamed;
    for (const text::TokenId id : ids) streamed += stream.push(id);
    EXPECT_EQ(streamed + stream.flush(), text);
  }
}

TEST_P(VocabParity, GenerationEndsAtEos) {
  ASSERT_TRUE(tokenizer_->eos());
  EXPECT_TRUE(tokenizer_->is_end_of_generation(*tokenizer_->eos()));
}

// Speed is shown, and only a blow-up fails: a busy machine must not.
TEST_P(VocabParity, BuildsAndEncodesFast) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  };
  auto start = Clock::now();
  ASSERT_TRUE(model::load_tokenizer(shared_file(GetParam(), "gguf")));
  const double build_ms = since(start);

  const std::string once = read_file(shared_file(GetParam(), "inp")).value();
  std::string text;
  while (text.size() < (std::size_t{1} << 20)) text += once;
  start = Clock::now();
  const std::size_t n_tokens = tokenizer_->encode(text).size();
  const double encode_ms = since(start);
  RecordProperty("build_ms", fmt::format("{:.1f}", build_ms));
  RecordProperty("tokens_per_second",
                 fmt::format("{:.0f}", static_cast<double>(n_tokens) / encode_ms * 1e3));
  fmt::print("{}: {:.1f} ms to load, {:.1f} MB/s\n", GetParam(), build_ms,
             static_cast<double>(text.size()) / encode_ms / 1e3);
  EXPECT_LT(build_ms, 5'000);
  EXPECT_LT(encode_ms, 10'000);
}

INSTANTIATE_TEST_SUITE_P(Real, VocabParity,
                         testing::Values("llama-spm", "phi-3", "gpt-2", "llama-3.2", "qwen3",
                                         "deepseek-llm", "starcoder", "gemma4"),
                         [](const auto& vocabulary) {
                           std::string name = vocabulary.param;
                           for (char& c : name) {
                             if (c == '-' || c == '.') c = '_';
                           }
                           return name;
                         });

}  // namespace
}  // namespace hearth
