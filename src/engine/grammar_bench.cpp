// What a grammar costs per token, on the vocabulary of a real model (../shared/vocab/qwen3.gguf,
// 151,936 tokens).
//
// An answer as a model would write it is tokenised, and its masks are computed one after the other:
// cold (the first answer with its schema) and warm (all later ones).  A wild walk, which takes any
// allowed token, visits far more states than any model.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <random>

#include "engine/sampler.h"
#include "model/vocab.h"
#include "text/grammar/constraint.h"

namespace hearth::engine {
namespace {

namespace grammar = text::grammar;

constexpr const char* kVocab = HEARTH_SHARED_DIR "/vocab/qwen3.gguf";

const text::Tokenizer* tokenizer() {
  static const auto loaded = model::load_tokenizer(kVocab);
  return loaded ? loaded->get() : nullptr;
}

const std::shared_ptr<const grammar::Lexicon>& lexicon() {
  static const auto made = grammar::Lexicon::create(*tokenizer());
  return made;
}

constexpr const char* kPersonSchema = R"({"type":"object","properties":{
  "name":{"type":"string"},"email":{"type":"string","format":"email"},"age":{"type":"integer","minimum":0,"maximum":150},
  "bio":{"type":"string","maxLength":400},
  "address":{"type":"object","properties":{"street":{"type":"string"},"city":{"type":"string"},"zip":{"type":"string","pattern":"^\\d{5}$"}},"required":["street","city"]},
  "tags":{"type":"array","items":{"type":"string"}},
  "history":{"type":"array","items":{"type":"object","properties":{"year":{"type":"integer"},"what":{"type":"string"}},"required":["year","what"]}}},
  "required":["name","age","address","tags"]})";

constexpr const char* kPerson =
    R"({"name": "Ada Lovelace", "email": "ada@example.org", "age": 36, "bio": "She wrote notes on the Analytical Engine, among them a method for computing Bernoulli numbers, which many call the first program.", "address": {"street": "12 St James's Square", "city": "London", "zip": "12345"}, "tags": ["mathematician", "writer", "countess"], "history": [{"year": 1815, "what": "born in London"}, {"year": 1833, "what": "met Charles Babbage at a party, and saw his \"Difference Engine\""}, {"year": 1843, "what": "published the notes"}]})";

constexpr const char* kFree =
    R"({"weather": {"city": "Zürich", "days": [{"day": "Monday", "high": 21.5, "rain": false}, {"day": "Tuesday", "high": -3e2, "rain": true}]}, "source": null, "note": "Temperatures in degrees, as measured at noon; rain means more than one millimetre."})";

struct Subject {
  grammar::GrammarPtr grammar;
  std::string text;
};

Subject subject(int which) {
  if (which == 0) return {grammar::compile_json_schema(kPersonSchema).value(), kPerson};
  if (which == 1) return {grammar::compile_json_object().value(), kFree};
  return {grammar::compile_regex("(The |A )?[A-Z][a-z]+( [a-z]+){3,12}\\.").value(),
          "The Quick brown fox jumps over the lazy dog again and again."};
}

bool skip_without_vocab(benchmark::State& state) {
  if (tokenizer() != nullptr) return false;
  state.SkipWithError("needs ../shared/vocab/qwen3.gguf");
  return true;
}

// One answer; false if its grammar does not allow it.
bool write(grammar::Matcher& matcher, std::span<const text::TokenId> tokens,
           std::span<std::uint64_t> mask) {
  for (const text::TokenId id : tokens) {
    if (!matcher.fill_mask(mask)) return false;
    const auto bit = static_cast<std::size_t>(id);
    if ((mask[bit / 64] >> (bit % 64) & 1) == 0 || !matcher.accept(id)) return false;
  }
  return matcher.can_end();
}

void masks(benchmark::State& state, int which, bool is_warm) {
  if (skip_without_vocab(state)) return;
  const Subject it = subject(which);
  const auto tokens = tokenizer()->encode(it.text);
  std::vector<std::uint64_t> mask(lexicon()->mask_words());
  auto constraint = std::make_shared<grammar::Constraint>(it.grammar, lexicon());
  std::size_t n_tokens = 0;
  for (auto _ : state) {
    if (!is_warm) {
      state.PauseTiming();
      constraint = std::make_shared<grammar::Constraint>(it.grammar, lexicon());
      state.ResumeTiming();
    }
    grammar::Matcher matcher(constraint);
    if (!write(matcher, tokens, mask)) return state.SkipWithError("the grammar refuses the answer");
    n_tokens += tokens.size();
  }
  state.counters["per_token"] = benchmark::Counter(
      static_cast<double>(n_tokens), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK_CAPTURE(masks, schema_cold, 0, false)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(masks, schema_warm, 0, true)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(masks, json_object_cold, 1, false)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(masks, json_object_warm, 1, true)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(masks, regex_cold, 2, false)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(masks, regex_warm, 2, true)->Unit(benchmark::kMillisecond);

// Any allowed token is as likely as any other; each round another walk, on one constraint.
void wild_walk(benchmark::State& state, int which) {
  if (skip_without_vocab(state)) return;
  const auto constraint = std::make_shared<grammar::Constraint>(subject(which).grammar, lexicon());
  std::vector<std::uint64_t> mask(lexicon()->mask_words());
  std::vector<text::TokenId> allowed;
  std::mt19937 random(1);
  std::size_t n_tokens = 0;
  for (auto _ : state) {
    grammar::Matcher matcher(constraint);
    for (int step = 0; step < 200 && !matcher.is_complete(); ++step) {
      if (!matcher.fill_mask(mask)) return state.SkipWithError("the grammar failed");
      state.PauseTiming();
      allowed.clear();
      for (std::uint32_t i = 0; i < lexicon()->n_vocab(); ++i) {
        const auto id = static_cast<text::TokenId>(i);
        if ((mask[i / 64] >> (i % 64) & 1) != 0 && !lexicon()->is_end_token(id))
          allowed.push_back(id);
      }
      state.ResumeTiming();
      if (allowed.empty() || !matcher.accept(allowed[random() % allowed.size()])) break;
      ++n_tokens;
    }
  }
  state.counters["per_token"] = benchmark::Counter(
      static_cast<double>(n_tokens), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK_CAPTURE(wild_walk, schema, 0)->Unit(benchmark::kMillisecond)->Iterations(50);
BENCHMARK_CAPTURE(wild_walk, json_object, 1)->Unit(benchmark::kMillisecond)->Iterations(50);

void build_lexicon(benchmark::State& state) {
  if (skip_without_vocab(state)) return;
  for (auto _ : state) benchmark::DoNotOptimize(grammar::Lexicon::create(*tokenizer()));
}
BENCHMARK(build_lexicon)->Unit(benchmark::kMillisecond);

void compile_schema(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(grammar::compile_json_schema(kPersonSchema));
}
BENCHMARK(compile_schema)->Unit(benchmark::kMillisecond);

void compile_json_object(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(grammar::compile_json_object());
}
BENCHMARK(compile_json_object)->Unit(benchmark::kMillisecond);

void mask_logits(benchmark::State& state) {
  std::vector<float> logits(151'936), out(logits.size());
  std::vector<std::uint64_t> mask((logits.size() + 63) / 64);
  std::mt19937_64 random(1);
  for (std::uint64_t& word : mask) word = state.range(0) == 0 ? random() : 0;
  mask[5] = 1;
  for (auto _ : state) benchmark::DoNotOptimize(apply_mask(logits, mask, out));
}
BENCHMARK(mask_logits)->Arg(0)->Arg(1)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace hearth::engine
