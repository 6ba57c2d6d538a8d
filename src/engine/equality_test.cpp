// The same greedy tokens with everything that makes answers faster or memory go further on and off:
// real weights, one job after another in the plainest way against all ways.
#include <gtest/gtest.h>

#include <functional>

#include "base/clock.h"
#include "engine/engine_for_test.h"
#include "engine/fake_runner.h"
#include "engine/model_step_runner.h"
#include "engine/scheduler.h"
#include "tensor/isa.h"

namespace hearth::engine {
namespace {

using Answers = std::vector<std::vector<text::TokenId>>;

// A model in each form that a switch may ask for.
struct Models {
  std::shared_ptr<const model::Model> plain, packed, other;
  std::shared_ptr<const model::Model> q8, q4;  // With keys and values of fewer bits.
};

// Pages of 64 KiB: 32 of them in the smallest arena.  `other` knows the same tokens and says others.
Models random_models(const char* type) {
  model::RandomModelOptions options;
  options.type = type;
  options.n_layers = 2;
  options.d_model = 256;
  options.d_ff = 512;
  options.n_heads = 8;
  options.n_kv_heads = 4;
  options.head_dim = 64;
  options.n_vocab = 1024;
  options.n_context = 1024;
  Models models;
  models.plain = make_random_model(options);
  models.packed = make_random_model(options, {.pack = true});
  models.q8 = make_random_model(options, {.kv_type = model::KvType::kQ8_0});
  models.q4 = make_random_model(options, {.kv_type = model::KvType::kQ4_0});
  options.seed = 2;
  options.n_layers = 1;
  models.other = make_random_model(options);
  return models;
}

// Twelve prompts of which most begin alike, for pages to be shared, and some repeat themselves, for
// drafts.
std::vector<std::vector<text::TokenId>> shared_prompts() {
  std::vector<std::vector<text::TokenId>> all;
  for (int i = 0; i < 12; ++i) {
    std::vector<text::TokenId> prompt;
    const int n_shared = i % 4 == 3 ? 5 : 70;
    for (int j = 0; j < n_shared; ++j) prompt.push_back(300 + j * 7 % 500);
    for (int j = 0; j < 8 * i; ++j) prompt.push_back(300 + (i % 3 == 0 ? j % 6 : i * 31 + j));
    all.push_back(std::move(prompt));
  }
  return all;
}

struct Way {
  EngineOptions options;
  std::shared_ptr<const model::Model> model, draft_model;
  int n_rounds = 1;
  std::uint32_t n_answer = 48;
};

Answers answer_all(const Way& way, EngineStats* stats = nullptr) {
  const auto engine = make_engine(way.options);
  Answers answers;
  for (int round = 0; round < way.n_rounds; ++round) {
    answers.clear();
    std::vector<std::shared_ptr<WaitingSink>> sinks;
    for (auto& prompt : shared_prompts()) {
      GenerateRequest request;
      request.model = way.model;
      request.draft_model = way.draft_model;
      request.prompt = std::move(prompt);
      request.max_tokens = way.n_answer;
      request.sampling.temperature = 0;
      request.ignore_eos = true;
      sinks.push_back(std::make_shared<WaitingSink>());
      const auto job = engine->submit(std::move(request), sinks.back());
      EXPECT_TRUE(job) << job.error().message;
      if (!job) return {};
    }
    for (const auto& sink : sinks) {
      EXPECT_EQ(sink->wait().reason, FinishReason::kLength) << sink->wait().error.message;
      answers.push_back(sink->ids());
    }
  }
  if (stats != nullptr) *stats = engine->stats();
  return answers;
}

// The best instruction set again when the test ends.
class IsaGuard {
 public:
  ~IsaGuard() { EXPECT_TRUE(tensor::select_isa(before_)); }

 private:
  tensor::Isa before_ = tensor::selected_isa();
};

// One job at a time, on one thread, with nothing that could be left out.
Way plainest(const std::shared_ptr<const model::Model>& model) {
  Way way{.model = model};
  way.options.n_batch_sessions_max = 1;
  way.options.prefix_cache = false;
  way.options.speculation = false;
  way.options.n_threads = 1;
  return way;
}

// Everything that has a switch, on.
Way fullest(const Models& models) {
  Way way{.model = models.packed, .draft_model = models.other, .n_rounds = 2};
  way.options.prefill_chunk_tokens = 33;
  return way;
}

struct Switch {
  const char* name;
  std::function<void(Way&, const Models&)> turn;
};
const Switch kSwitches[] = {
    {"everything on", [](Way&, const Models&) {}},
    {"batching off", [](Way& s, const Models&) { s.options.n_batch_sessions_max = 1; }},
    {"small batches", [](Way& s, const Models&) { s.options.n_batch_sessions_max = 3; }},
    {"prefix cache and page sharing off",
     [](Way& s, const Models&) { s.options.prefix_cache = false; }},
    {"a cold prefix cache", [](Way& s, const Models&) { s.n_rounds = 1; }},
    {"speculation off", [](Way& s, const Models&) { s.options.speculation = false; }},
    {"no draft model", [](Way& s, const Models&) { s.draft_model = nullptr; }},
    {"drafting for itself", [](Way& s, const Models& m) { s.draft_model = m.plain; }},
    {"one thread", [](Way& s, const Models&) { s.options.n_threads = 1; }},
    {"three threads", [](Way& s, const Models&) { s.options.n_threads = 3; }},
    {"plain weights", [](Way& s, const Models& m) { s.model = m.plain; }},
    {"prompts at once", [](Way& s, const Models&) { s.options.prefill_chunk_tokens = 512; }},
    {"prompts token by token", [](Way& s, const Models&) { s.options.prefill_chunk_tokens = 1; }},
};

void expect_equal_answers(const Models& models) {
  const Answers expected = answer_all(plainest(models.plain));
  ASSERT_EQ(expected[0].size(), 48U);
  for (const Switch& each : kSwitches) {
    Way way = fullest(models);
    each.turn(way, models);
    EXPECT_EQ(answer_all(way), expected) << each.name;
  }

  // Preemption: too few pages for all, and answers that outgrow what was there at first.
  Way long_answers = plainest(models.plain);
  long_answers.n_answer = 160;
  const Answers all_expected = answer_all(long_answers);
  for (const bool prefix_cache : {true, false}) {
    Way way = fullest(models);
    way.options.kv_bytes_max = std::uint64_t{2} << 20;
    way.options.prefix_cache = prefix_cache;
    way.n_answer = 160;
    EngineStats stats;
    EXPECT_EQ(answer_all(way, &stats), all_expected) << "with few pages";
    EXPECT_GT(stats.preemptions, 0U) << prefix_cache;
  }
}

TEST(EngineEquality, EverySwitchOfAQ8Model) { expect_equal_answers(random_models("Q8_0")); }

TEST(EngineEquality, EverySwitchOfAQ4Model) { expect_equal_answers(random_models("Q4_K_M")); }

TEST(EngineEquality, EveryInstructionSetAndTypeOfKeysAndValues) {
  const IsaGuard guard;
  const Models models = random_models("Q4_K_M");
  for (const auto& model : {models.plain, models.q8, models.q4}) {
    const Answers expected = answer_all(plainest(model));
    for (const tensor::Isa isa : tensor::available_isas()) {
      ASSERT_TRUE(tensor::select_isa(isa));
      Way way{.model = model, .draft_model = models.other};
      EXPECT_EQ(answer_all(way), expected)
          << tensor::isa_name(isa) << " " << model::kv_type_name(model->kv_layout().type);
    }
  }
}

TEST(EngineEquality, Dreams) {
  if (dreams() == nullptr) GTEST_SKIP() << "shared/models is absent";
  const IsaGuard guard;
  const auto run = [](const EngineOptions& options) {
    const auto engine = make_engine(options);
    Answers answers;
    std::vector<std::shared_ptr<WaitingSink>> sinks;
    for (const std::string& prompt : prompts()) {
      sinks.push_back(std::make_shared<WaitingSink>());
      const auto job = engine->submit(request_for(dreams(), prompt, 40), sinks.back());
      EXPECT_TRUE(job) << job.error().message;
    }
    for (const auto& sink : sinks) {
      sink->wait();
      answers.push_back(sink->ids());
    }
    return answers;
  };
  const Answers expected = run(plainest(dreams()).options);
  for (const tensor::Isa isa : tensor::available_isas()) {
    ASSERT_TRUE(tensor::select_isa(isa));
    EXPECT_EQ(run({}), expected) << tensor::isa_name(isa);
  }
}

// Layers that remember otherwise than by keys and values: in pages (lfm2), and in a state beside
// them (qwen35, nemotron_h), which shares no pages and drafts nothing.  Layers that keep theirs in pages of two
// kinds of heads, and that read those of others (gemma4).
TEST(EngineEquality, ModelsWithMemories) {
  for (const std::string name : {"lfm2", "qwen35", "qwen3next", "gemma4", "gemma4-experts", "granitehybrid",
                                 "nemotron_h", "nemotron_h_moe"}) {
    const auto model = model::Model::load(std::filesystem::path(HEARTH_SOURCE_DIR) /
                                          "tests/architectures" / (name + ".gguf"));
    ASSERT_TRUE(model) << model.error().message;
    const auto run = [&](const EngineOptions& options, int n_rounds = 1) {
      const auto engine = make_engine(options);
      Answers answers;
      for (int round = 0; round < n_rounds; ++round) {
        answers.clear();
        std::vector<std::shared_ptr<WaitingSink>> sinks;
        for (const std::string& prompt : prompts()) {
          sinks.push_back(std::make_shared<WaitingSink>());
          const auto job = engine->submit(request_for(*model, prompt, 40), sinks.back());
          EXPECT_TRUE(job) << job.error().message;
        }
        for (const auto& sink : sinks) {
          EXPECT_EQ(sink->wait().reason, FinishReason::kLength) << sink->wait().error.message;
          answers.push_back(sink->ids());
        }
      }
      return answers;
    };
    const Answers expected = run(plainest(*model).options);
    ASSERT_EQ(expected[0].size(), 40U);
    for (const std::uint32_t chunk : {1U, 7U, 33U, 512U}) {
      EngineOptions options;
      options.prefill_chunk_tokens = chunk;
      EXPECT_EQ(run(options, 2), expected) << name << " in chunks of " << chunk;
    }
    EngineOptions small;
    small.n_batch_sessions_max = 3;
    small.kv_bytes_max = std::uint64_t{4} << 20;
    EXPECT_EQ(run(small), expected) << name << " with few pages";
  }
}

// Real architectures and types: 8 sessions at once with a cache and small chunks, against one alone.
TEST(EngineEquality, ParityModels) {
  const auto folder = std::filesystem::path(HEARTH_SHARED_DIR) / "parity";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "shared/parity is absent";
  for (const std::string name :
       {"llama-F16", "qwen2-F16", "qwen3-F16", "llama-wide-Q4_K_M", "llama-wide-Q6_K"}) {
    const auto model = model::Model::load(folder / (name + ".gguf"));
    ASSERT_TRUE(model) << model.error().message;
    const auto run = [&](const EngineOptions& options) {
      const auto engine = make_engine(options);
      std::vector<std::vector<text::TokenId>> answers;
      std::vector<std::shared_ptr<WaitingSink>> sinks;
      for (int i = 0; i < 8; ++i) {
        GenerateRequest request;
        request.model = *model;
        for (int j = 0; j < 20 + 9 * (i / 2); ++j) request.prompt.push_back(3 + (j * 7 + i / 4) % 60);
        request.max_tokens = 24;
        request.sampling.temperature = 0;
        request.ignore_eos = true;
        sinks.push_back(std::make_shared<WaitingSink>());
        const auto job = engine->submit(std::move(request), sinks.back());
        EXPECT_TRUE(job) << job.error().message;
      }
      for (const auto& sink : sinks) {
        sink->wait();
        answers.push_back(sink->ids());
      }
      return answers;
    };
    EngineOptions alone;
    alone.n_batch_sessions_max = 1;
    alone.prefix_cache = false;
    EngineOptions together;
    together.prefill_chunk_tokens = 19;
    EXPECT_EQ(run(together), run(alone)) << name;
  }
}

// With a clock that stands still a draft costs what is assumed, so that drafts go on however slow
// their model is here: real weights drafting for themselves are always right, at any temperature.
TEST(EngineEquality, RealWeightsDraftForThemselves) {
  const Models models = random_models("Q8_0");
  struct Case {
    std::shared_ptr<const model::Model> draft;
    bool agrees;
  };
  for (const float temperature : {0.0F, 0.9F}) {
    std::vector<std::vector<text::TokenId>> answers;
    for (const Case& c : {Case{nullptr, false}, Case{models.plain, true}, Case{models.other, false}}) {
      ForwardContext context(2);
      FakeClock clock;
      KvPagePoolOptions pool_options;
      pool_options.bytes_max = std::uint64_t{32} << 20;
      const auto pool = std::move(KvPagePool::create(pool_options)).value();
      Scheduler scheduler({}, *pool, clock);
      const auto sink = std::make_shared<RecordingSink>();
      Job job;
      job.id = JobId{1};
      job.request.prompt = shared_prompts()[1];
      job.request.sampling.temperature = temperature;
      job.request.sampling.seed = 3;
      job.request.ignore_eos = true;
      job.runner = make_model_step_runner(models.plain, context);
      if (c.draft != nullptr) job.drafter = make_model_step_runner(c.draft, context);
      job.sink = sink;
      job.n_tokens_max = 300;
      scheduler.submit(std::move(job));
      while (scheduler.step()) {
      }
      answers.push_back(sink->ids);
      const EngineStats stats = scheduler.stats();
      if (c.agrees) {
        EXPECT_GE(stats.accepted_tokens * 100, stats.drafted_tokens * 95);
        EXPECT_LT(stats.steps, 120U);
      } else if (temperature > 0) {
        EXPECT_LT(stats.drafted_tokens, 60U);
      }
    }
    EXPECT_EQ(answers[1], answers[0]);
    EXPECT_EQ(answers[2], answers[0]);
  }
}

}  // namespace
}  // namespace hearth::engine
