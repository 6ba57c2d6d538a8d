// How fast a tokenizer builds and encodes, on a vocabulary of the usual size.
//
// The vocabulary is made up: merges join two random tokens, so its words are not English and most
// merge steps find something.  Real vocabularies: tests/vocab_parity_test.cpp prints theirs.
#include <benchmark/benchmark.h>

#include <random>

#include "text/byte_alphabet.h"
#include "text/tokenizer.h"

namespace hearth::text {
namespace {

constexpr std::size_t kVocabTokens = 150'000;
constexpr std::size_t kTextBytes = std::size_t{1} << 20;

VocabSpec made_up_spec(std::string pre) {
  VocabSpec spec{.model = "gpt2", .pre = std::move(pre)};
  for (unsigned byte = 0; byte < 256; ++byte) {
    spec.tokens.emplace_back(byte_to_letter(static_cast<std::uint8_t>(byte)));
  }
  std::mt19937 random(6);
  while (spec.tokens.size() < kVocabTokens) {
    // Letters and short tokens are the likelier parts, as in trained vocabularies.
    const std::string& left = spec.tokens['a' + random() % 26];
    const std::string& right =
        spec.tokens[random() % std::min<std::size_t>(spec.tokens.size(), 50'000)];
    if (left.size() + right.size() > 12) continue;
    spec.merges.push_back(left + " " + right);
    spec.tokens.push_back(left + right);
  }
  return spec;
}

std::string made_up_text() {
  std::mt19937 random(7);
  std::string text;
  while (text.size() < kTextBytes) {
    for (std::size_t n = 1 + random() % 9; n > 0; --n)
      text.push_back(static_cast<char>('a' + random() % 26));
    text += random() % 12 == 0 ? ".\n" : " ";
  }
  return text;
}

void build(benchmark::State& state) {
  const VocabSpec spec = made_up_spec("qwen2");
  for (auto _ : state) {
    state.PauseTiming();
    VocabSpec copy = spec;
    state.ResumeTiming();
    benchmark::DoNotOptimize(Tokenizer::create(std::move(copy)));
  }
}
BENCHMARK(build)->Unit(benchmark::kMillisecond);

void encode(benchmark::State& state, const char* pre) {
  const auto tokenizer = std::move(Tokenizer::create(made_up_spec(pre))).value();
  const std::string text = made_up_text();
  std::size_t n_tokens = 0;
  for (auto _ : state) n_tokens += tokenizer->encode(text).size();
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
  state.counters["tokens/s"] =
      benchmark::Counter(static_cast<double>(n_tokens), benchmark::Counter::kIsRate);
}
BENCHMARK_CAPTURE(encode, gpt2, "gpt-2")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(encode, llama3, "llama-bpe")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(encode, qwen2, "qwen2")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(encode, starcoder, "starcoder")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(encode, deepseek_llm, "deepseek-llm")->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace hearth::text
