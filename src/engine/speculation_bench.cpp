// What drafting gains: a real forward pass, and a script for what the model says.
//
// No small model edits well enough to be measured on, and speed does not depend on what is said but
// on how it repeats the prompt.  So the forward pass is a model's (HEARTH_BENCH_MODEL, else a 0.5 B
// one with random weights), and then the logits are made to choose the next token of a script: a
// source file of this repository with one name changed throughout (an editing task), or prose that
// the prompt does not hold (elsewhere).  Tokens are words and signs.  A draft model is a twelfth of
// the size, and its script is the same or another one.
#include <benchmark/benchmark.h>

#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "engine/fake_runner.h"
#include "engine/model_step_runner.h"
#include "engine/scheduler.h"
#include "model/random_model.h"

namespace hearth::engine {
namespace {

std::string read_source(const char* name) {
  std::ifstream file(std::filesystem::path(HEARTH_SOURCE_DIR) / name);
  std::string text(std::istreambuf_iterator<char>(file), {});
  HEARTH_CHECK(!text.empty());
  return text;
}

std::string renamed(std::string text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != text.npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
  return text;
}

// Runs of letters, runs of spaces, single signs; each an id of its own.
std::vector<TokenId> words_of(const std::string& text) {
  static std::map<std::string, TokenId> ids;
  std::vector<TokenId> tokens;
  const auto kind = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) ? 1 : c == ' ' ? 2 : 0;
  };
  for (std::size_t begin = 0, end = 0; begin < text.size(); begin = end) {
    end = begin + 1;
    while (kind(text[begin]) != 0 && end < text.size() && kind(text[end]) == kind(text[begin]))
      ++end;
    const auto [place, is_new] =
        ids.try_emplace(text.substr(begin, end - begin), static_cast<TokenId>(ids.size()));
    tokens.push_back(place->second);
  }
  return tokens;
}

const std::shared_ptr<const model::Model>& bench_model() {
  static const std::shared_ptr<const model::Model> model = [] {
    const char* const given = std::getenv("HEARTH_BENCH_MODEL");
    std::filesystem::path path = given != nullptr ? given : "";
    if (path.empty()) {
      path = std::filesystem::temp_directory_path() / "hearth-bench-q4_k_m.gguf";
      if (!std::filesystem::exists(path)) HEARTH_CHECK(model::write_random_model(path, {}));
    }
    return model::Model::load(path).value();
  }();
  return model;
}

const std::shared_ptr<const model::Model>& draft_model() {
  static const std::shared_ptr<const model::Model> model = [] {
    const auto path = std::filesystem::temp_directory_path() / "hearth-bench-draft.gguf";
    if (!std::filesystem::exists(path)) {
      HEARTH_CHECK(model::write_random_model(
          path, {.n_layers = 8, .d_model = 256, .d_ff = 1024, .n_heads = 4, .n_kv_heads = 1}));
    }
    return model::Model::load(path).value();
  }();
  return model;
}

// A model's forward pass, whose logits then choose what the script says after each position.
class ScriptedRunner final : public StepRunner {
 public:
  ScriptedRunner(std::shared_ptr<StepRunner> real, std::vector<TokenId> script)
      : real_(std::move(real)), script_(std::move(script)) {}

  std::uint64_t identity() const override { return real_->identity(); }
  model::KvLayout kv_layout() const override { return real_->kv_layout(); }
  std::uint32_t n_vocab() const override { return real_->n_vocab(); }
  std::uint32_t n_context() const override { return real_->n_context(); }
  std::optional<TokenId> unsure_token() const override { return std::nullopt; }
  bool is_end_of_generation(TokenId) const override { return false; }
  std::string token_bytes(TokenId) const override { return "x"; }
  std::unique_ptr<TextStream> text_after(std::span<const TokenId>,
                                         std::span<const TokenId>) const override {
    return std::make_unique<FakeText>();
  }
  Result<> reserve(std::uint32_t n_tokens_max) override { return real_->reserve(n_tokens_max); }
  Result<> run(std::span<const model::Segment> batch) override {
    HEARTH_TRY_VOID(real_->run(batch));
    for (const model::Segment& segment : batch) {
      for (std::uint32_t i = 0; i < segment.n_logits; ++i) {
        const std::size_t next =
            segment.position + segment.tokens.size() - segment.n_logits + i + 1;
        const auto id = static_cast<std::size_t>(script_[std::min(next, script_.size() - 1)]);
        segment.logits[std::size_t{i} * n_vocab() + id] = 1e6F;
      }
    }
    return {};
  }

 private:
  std::shared_ptr<StepRunner> real_;
  std::vector<TokenId> script_;  // Prompt, then answer.
};

struct Task {
  std::string prompt, answer;
  std::size_t n_prompt_max = 1000;
};

Task editing() {
  const std::string source = read_source("src/engine/session_pages.cpp");
  return {source, renamed(source, "page", "leaf")};
}
Task elsewhere() {
  return {read_source("docs/design/0005-sessions-and-pages.md"),
          read_source("docs/design/0003-ledger-format.md"), 300};
}

// How tokens are drafted; the last two by a draft model.
enum class Drafts : std::uint8_t { kNone, kOwnText, kAgreeing, kDiffering };

std::shared_ptr<StepRunner> drafter_of(Drafts drafts, const std::vector<TokenId>& script,
                                       ForwardContext& context) {
  if (drafts == Drafts::kNone || drafts == Drafts::kOwnText) return nullptr;
  std::vector<TokenId> says = script;
  if (drafts == Drafts::kDiffering) std::ranges::for_each(says, [](TokenId& id) { ++id; });
  return std::make_shared<ScriptedRunner>(make_model_step_runner(draft_model(), context), says);
}

void answer(benchmark::State& state, const Task& task) {
  constexpr std::size_t kAnswerMax = 300;
  std::vector<TokenId> script = words_of(task.prompt);
  script.resize(std::min(script.size(), task.n_prompt_max));
  const std::size_t n_prompt = script.size();
  std::vector<TokenId> said = words_of(task.answer);
  said.resize(std::min(said.size(), kAnswerMax));
  script.insert(script.end(), said.begin(), said.end());

  ForwardContext context(2);
  KvPagePoolOptions pool_options;
  pool_options.bytes_max = std::uint64_t{256} << 20;
  const auto pool = std::move(KvPagePool::create(pool_options)).value();
  EngineOptions options;
  const auto drafts = static_cast<Drafts>(state.range(0));
  options.speculation = drafts != Drafts::kNone;
  Scheduler scheduler(options, *pool, Clock::system());
  const auto runner =
      std::make_shared<ScriptedRunner>(make_model_step_runner(bench_model(), context), script);
  const auto drafter = drafter_of(drafts, script, context);
  std::uint64_t id = 0;
  const auto answer_once = [&] {
    const auto sink = std::make_shared<RecordingSink>();
    Job job;
    job.id = JobId{++id};
    job.request.prompt.assign(script.begin(),
                              script.begin() + static_cast<std::ptrdiff_t>(n_prompt));
    job.request.sampling.temperature = 0;
    job.runner = runner;
    job.drafter = drafter;
    job.sink = sink;
    job.n_tokens_max = static_cast<std::uint32_t>(script.size());
    scheduler.submit(std::move(job));
    while (scheduler.step()) {
    }
    HEARTH_CHECK(sink->ids == said);
    return sink->finish.decode_ms;
  };
  // A draft model must be tried first, for a small part of all steps.
  for (int i = 0; i < (drafter != nullptr ? 3 : 0); ++i) answer_once();
  double decode_ms = 0;
  for (auto _ : state) decode_ms += answer_once();
  const EngineStats stats = scheduler.stats();
  state.counters["tokens/s"] =
      1e3 * static_cast<double>(said.size()) * static_cast<double>(state.iterations()) / decode_ms;
  state.counters["taken"] =
      stats.drafted_tokens == 0
          ? 0
          : static_cast<double>(stats.accepted_tokens) / static_cast<double>(stats.drafted_tokens);
}

BENCHMARK_CAPTURE(answer, editing, editing())
    ->ArgName("drafts")
    ->DenseRange(0, 3)
    ->Iterations(3)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(answer, elsewhere, elsewhere())
    ->ArgName("drafts")
    ->DenseRange(0, 3)
    ->Iterations(3)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace hearth::engine
