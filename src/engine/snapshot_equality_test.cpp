// The same tokens and logits with snapshots on and off: over a restart, with adapters, with each type
// of keys and values, after damage, after a kill, with two engines on one folder.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <random>

#include "engine/engine_for_test.h"
#include "engine/snapshot_for_test.h"
#include "model/random_adapter.h"

namespace hearth::engine {
namespace {

namespace fs = std::filesystem;

std::shared_ptr<const model::Model> model_of(model::KvType type, std::uint64_t seed = 1) {
  model::RandomModelOptions options;
  options.type = "Q4_K_M";
  options.n_layers = 2;
  options.d_model = 256;
  options.d_ff = 512;
  options.n_heads = 8;
  options.n_kv_heads = 4;
  options.head_dim = 64;
  options.n_vocab = 1024;
  options.n_context = 2048;
  options.seed = seed;
  return make_random_model(options, {.kv_type = type});
}

std::vector<text::TokenId> prompt_of(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<text::TokenId> tokens(n);
  for (auto& id : tokens) id = static_cast<text::TokenId>(300 + random() % 700);
  return tokens;
}

// What an answer is: tokens, and the log-probabilities that its logits give, to the bit.
struct Answer {
  std::vector<text::TokenId> ids;
  std::vector<float> logprobs;
  bool operator==(const Answer&) const = default;
};

class AnswerSink final : public GenerateSink {
 public:
  void on_token(JobId job, const TokenEvent& event) override {
    waiting.on_token(job, event);
    for (const TokenLogprob& each : event.top) logprobs.push_back(each.logprob);
    logprobs.push_back(event.entropy);
  }
  void on_finish(JobId job, const FinishEvent& event) override { waiting.on_finish(job, event); }
  WaitingSink waiting;
  std::vector<float> logprobs;
};

GenerateRequest plain_request(const std::shared_ptr<const model::Model>& model,
                              std::vector<text::TokenId> prompt, std::uint32_t n_answer = 24) {
  GenerateRequest request;
  request.model = model;
  request.prompt = std::move(prompt);
  request.max_tokens = n_answer;
  request.sampling.temperature = 0;
  request.ignore_eos = true;
  request.n_top_logprobs = 20;
  return request;
}

Answer answer(Engine& engine, GenerateRequest request, FinishEvent* finish = nullptr) {
  const auto sink = std::make_shared<AnswerSink>();
  const auto job = engine.submit(std::move(request), sink);
  EXPECT_TRUE(job) << job.error().message;
  if (!job) return {};
  const FinishEvent& end = sink->waiting.wait();
  EXPECT_EQ(end.reason, FinishReason::kLength) << end.error.message;
  if (finish != nullptr) *finish = end;
  return {sink->waiting.ids(), sink->logprobs};
}

EngineOptions with_snapshots(const SnapshotTempFolder& folder) {
  EngineOptions options;
  options.kv_bytes_max = std::uint64_t{32} << 20;
  options.snapshots.folder = folder.path();
  options.snapshots.tokens_min = 64;
  return options;
}

Answer answer_without(GenerateRequest request) {
  EngineOptions options;
  options.kv_bytes_max = std::uint64_t{32} << 20;
  options.prefix_cache = false;
  options.speculation = false;
  return answer(*make_engine(options), std::move(request));
}

TEST(SnapshotEquality, OverARestartWithEachTypeOfKeysAndValues) {
  for (const auto type : {model::KvType::kF16, model::KvType::kQ8_0, model::KvType::kQ4_0}) {
    const auto model = model_of(type);
    const SnapshotTempFolder folder;
    for (const std::uint32_t n : {100U, 256U, 257U, 500U}) {
      const auto request = [&] { return plain_request(model, prompt_of(n, n)); };
      const Answer expected = answer_without(request());
      EXPECT_EQ(answer(*make_engine(with_snapshots(folder)), request()), expected);
      // The whole prompt was seen: no token of it is computed again.
      FinishEvent finish;
      const auto engine = make_engine(with_snapshots(folder));
      EXPECT_EQ(answer(*engine, request(), &finish), expected) << n;
      EXPECT_EQ(finish.cached_tokens, n);
      EXPECT_EQ(finish.restored_tokens, n);
      EXPECT_EQ(engine->stats().restored_tokens, n);
      EXPECT_EQ(engine->stats().restores, 1U);
      EXPECT_GT(engine->stats().snapshot_bytes, 0U);
      // Once more, from memory.
      EXPECT_EQ(answer(*engine, request(), &finish), expected) << n;
    }
  }
}

TEST(SnapshotEquality, AConversationGoesOnAfterEachRestart) {
  const auto model = model_of(model::KvType::kF16);
  const SnapshotTempFolder folder;
  auto prompt = prompt_of(150, 1);
  for (unsigned turn = 0; turn < 6; ++turn) {
    const Answer expected = answer_without(plain_request(model, prompt));
    FinishEvent finish;
    const auto engine = make_engine(with_snapshots(folder));
    EXPECT_EQ(answer(*engine, plain_request(model, prompt), &finish), expected) << turn;
    if (turn > 0) {
      EXPECT_EQ(finish.restored_tokens, prompt.size() - 41) << turn;
    }
    prompt.insert(prompt.end(), expected.ids.begin(), expected.ids.end());
    const auto more = prompt_of(40, 100 + turn);
    prompt.insert(prompt.end(), more.begin(), more.end());
  }
  // A branch finds what it shares.
  prompt.resize(200);
  const auto more = prompt_of(100, 999);
  prompt.insert(prompt.end(), more.begin(), more.end());
  FinishEvent finish;
  EXPECT_EQ(answer(*make_engine(with_snapshots(folder)), plain_request(model, prompt), &finish),
            answer_without(plain_request(model, prompt)));
  EXPECT_EQ(finish.restored_tokens, 200U);
}

TEST(SnapshotEquality, OtherModelsAndTypesFindNothing) {
  const SnapshotTempFolder folder;
  const auto prompt = prompt_of(300, 1);
  answer(*make_engine(with_snapshots(folder)),
         plain_request(model_of(model::KvType::kF16), prompt));
  for (const auto& other : {model_of(model::KvType::kF16, 2), model_of(model::KvType::kQ8_0)}) {
    FinishEvent finish;
    EXPECT_EQ(answer(*make_engine(with_snapshots(folder)), plain_request(other, prompt), &finish),
              answer_without(plain_request(other, prompt)));
    EXPECT_EQ(finish.restored_tokens, 0U);
  }
}

std::shared_ptr<const model::Adapter> adapter_of(const model::Model& base, const std::string& name,
                                                 std::vector<std::int32_t> invocation = {}) {
  const SnapshotTempFolder temp;
  const auto path = temp.path().parent_path() / (name + ".gguf");
  const model::RandomAdapterOptions options{.name = name,
                                            .spread = 0.2F,
                                            .invocation_tokens = std::move(invocation),
                                            .seed = std::hash<std::string>()(name)};
  EXPECT_TRUE(model::write_random_adapter(path, base, options));
  auto loaded = model::Adapter::load(path, base);
  EXPECT_TRUE(loaded) << loaded.error().message;
  return *loaded;
}

// Plain ones know their own pages only; an activated one shares what is before it.
TEST(SnapshotEquality, WithAdapters) {
  const auto model = model_of(model::KvType::kF16);
  auto prompt = prompt_of(300, 1);
  prompt[200] = 301;
  prompt[201] = 302;
  prompt[202] = 303;
  const auto a = adapter_of(*model, "a"), b = adapter_of(*model, "b");
  const auto activated = adapter_of(*model, "c", {301, 302, 303});
  struct Case {
    std::vector<AdapterChoice> choices;
    std::uint32_t n_restored;  // The first time, after all cases before.
  };
  const std::vector<Case> cases = {{{}, 0},
                                   {{{a, 1.0F}}, 0},
                                   {{{a, 0.5F}}, 0},
                                   {{{a, 1.0F}, {b, 1.0F}}, 0},
                                   {{{b, 1.0F}}, 0},
                                   {{{activated, 1.0F}}, 200},
                                   {{{activated, 0.5F}}, 200}};
  const SnapshotTempFolder folder;
  std::vector<Answer> answers;
  for (const Case& each : cases) {
    const auto request = [&] {
      GenerateRequest made = plain_request(model, prompt);
      made.adapters = each.choices;
      return made;
    };
    const Answer expected = answer_without(request());
    EXPECT_EQ(std::ranges::count(answers, expected), 0) << "adapters do nothing";
    answers.push_back(expected);
    FinishEvent finish;
    EXPECT_EQ(answer(*make_engine(with_snapshots(folder)), request(), &finish), expected);
    EXPECT_EQ(finish.restored_tokens, each.n_restored);
    EXPECT_EQ(answer(*make_engine(with_snapshots(folder)), request(), &finish), expected);
    EXPECT_EQ(finish.restored_tokens, 300U);
  }
}

TEST(SnapshotEquality, WhatMustNotBeKeptIsNot) {
  const SnapshotTempFolder folder;
  const auto model = model_of(model::KvType::kF16);
  {
    const auto engine = make_engine(with_snapshots(folder));
    GenerateRequest request = plain_request(model, prompt_of(300, 1));
    request.may_keep = false;
    answer(*engine, std::move(request));
    answer(*engine, plain_request(model, prompt_of(30, 2)));  // Too short.
  }
  EXPECT_TRUE(folder.files().empty());
}

TEST(SnapshotEquality, AfterDamage) {
  const auto model = model_of(model::KvType::kQ8_0);
  const auto prompt = prompt_of(400, 1);
  const Answer expected = answer_without(plain_request(model, prompt));
  std::mt19937 random(3);
  std::uint64_t n_damaged = 0;
  for (int round = 0; round < 20; ++round) {
    const SnapshotTempFolder folder;
    answer(*make_engine(with_snapshots(folder)), plain_request(model, prompt));
    const auto files = folder.files();
    ASSERT_EQ(files.size(), 2U);
    for (int flips = 0; flips <= round % 4; ++flips) {
      const auto& file = files[random() % files.size()];
      const auto at = static_cast<std::streamoff>(random() % fs::file_size(file));
      std::fstream bytes(file, std::ios::in | std::ios::out | std::ios::binary);
      bytes.seekg(at);
      const char was = static_cast<char>(bytes.get());
      bytes.seekp(at);
      bytes.put(static_cast<char>(was ^ (1 << random() % 8)));
    }
    const auto engine = make_engine(with_snapshots(folder));
    EXPECT_EQ(answer(*engine, plain_request(model, prompt)), expected) << round;
    n_damaged += engine->stats().snapshots_damaged;
    if (round % 2 == 0) folder.vanish();
    EXPECT_EQ(answer(*engine, plain_request(model, prompt)), expected) << round;
  }
  EXPECT_GT(n_damaged, 10U);
}

TEST(SnapshotEquality, AfterAKillInTheMidstOfWriting) {
  const auto model = model_of(model::KvType::kF16);
  const SnapshotTempFolder folder;
  std::vector<Answer> expected;
  for (unsigned i = 0; i < 4; ++i) {
    expected.push_back(answer_without(plain_request(model, prompt_of(700, i), 4)));
  }
  std::mt19937 random(9);
  std::uint64_t n_restored = 0;
  for (unsigned round = 0; round < 50; ++round) {
    const pid_t child = ::fork();  // This process has no other threads now.
    ASSERT_GE(child, 0);
    if (child == 0) {
      const auto engine = make_engine(with_snapshots(folder));
      for (unsigned i = 0;; ++i) answer(*engine, plain_request(model, prompt_of(700, i % 40), 4));
    }
    ::usleep(static_cast<useconds_t>(20'000 + random() % 60'000));
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    if (round % 10 != 9) continue;
    const auto engine = make_engine(with_snapshots(folder));
    for (unsigned i = 0; i < 4; ++i) {
      FinishEvent finish;
      EXPECT_EQ(answer(*engine, plain_request(model, prompt_of(700, i), 4), &finish), expected[i]);
      n_restored += finish.restored_tokens;
    }
    EXPECT_EQ(engine->stats().snapshots_damaged, 0U);
  }
  EXPECT_GT(n_restored, 0U);
}

TEST(SnapshotEquality, TwoEnginesShareAFolder) {
  const auto model = model_of(model::KvType::kF16);
  const SnapshotTempFolder folder;
  const auto a = make_engine(with_snapshots(folder));
  const auto b = make_engine(with_snapshots(folder));
  for (unsigned i = 0; i < 8; ++i) {
    Engine& first = i % 2 == 0 ? *a : *b;
    Engine& second = i % 2 == 0 ? *b : *a;
    const auto prompt = prompt_of(300 + i, i);
    const Answer expected = answer_without(plain_request(model, prompt));
    EXPECT_EQ(answer(first, plain_request(model, prompt)), expected);
    const std::uint64_t n_before = second.stats().restored_tokens;
    for (int tries = 0; tries < 200 && folder.files().size() < 2 * (i + 1); ++tries) ::usleep(10'000);
    EXPECT_EQ(answer(second, plain_request(model, prompt)), expected);
    EXPECT_EQ(second.stats().restored_tokens - n_before, 300U + i);
  }
}

// Many sessions at once in an arena with too few pages for all of them and for the disk's threads.
TEST(SnapshotEquality, WithFewPages) {
  const auto model = model_of(model::KvType::kF16);
  const SnapshotTempFolder folder;
  std::vector<Answer> expected;
  for (unsigned i = 0; i < 12; ++i) {
    expected.push_back(answer_without(plain_request(model, prompt_of(150 + 20 * (i / 3), i / 3), 40)));
  }
  for (int run = 0; run < 3; ++run) {
    EngineOptions options = with_snapshots(folder);
    options.kv_bytes_max = std::uint64_t{2} << 20;
    const auto engine = make_engine(options);
    std::vector<std::shared_ptr<AnswerSink>> sinks;
    for (unsigned i = 0; i < 12; ++i) {
      sinks.push_back(std::make_shared<AnswerSink>());
      ASSERT_TRUE(engine->submit(
          plain_request(model, prompt_of(150 + 20 * (i / 3), i / 3), 40), sinks.back()));
    }
    for (unsigned i = 0; i < 12; ++i) {
      const FinishEvent& end = sinks[i]->waiting.wait();
      EXPECT_EQ(end.reason, FinishReason::kLength) << end.error.message;
      EXPECT_EQ((Answer{sinks[i]->waiting.ids(), sinks[i]->logprobs}), expected[i]) << run << " " << i;
    }
  }
}

// Cancelled while the disk is read: nothing is lost, and the end comes once.
TEST(SnapshotEquality, CancelledWhileItWaits) {
  const auto model = model_of(model::KvType::kF16);
  const SnapshotTempFolder folder;
  const auto prompt = prompt_of(1000, 1);
  answer(*make_engine(with_snapshots(folder)), plain_request(model, prompt));
  const Answer expected = answer_without(plain_request(model, prompt));
  for (int round = 0; round < 20; ++round) {
    const auto engine = make_engine(with_snapshots(folder));
    std::vector<std::shared_ptr<WaitingSink>> sinks;
    for (int i = 0; i < 4; ++i) {
      sinks.push_back(std::make_shared<WaitingSink>());
      const auto job = engine->submit(plain_request(model, prompt), sinks.back());
      ASSERT_TRUE(job);
      ::usleep(static_cast<useconds_t>(round * 50));
      if (i != 3) engine->cancel(*job);
    }
    for (const auto& sink : sinks) sink->wait();
    EXPECT_EQ(sinks[3]->ids(), expected.ids);
    for (const auto& sink : sinks) EXPECT_EQ(sink->n_finished(), 1);
  }
}

// Delta nets have a state that no page holds: refused, and right.
TEST(SnapshotEquality, ModelsWithAStateKeepNothing) {
  for (const std::string name : {"lfm2", "qwen35"}) {
    const auto model = model::Model::load(fs::path(HEARTH_SOURCE_DIR) / "tests/architectures" /
                                          (name + ".gguf"));
    ASSERT_TRUE(model) << model.error().message;
    const SnapshotTempFolder folder;
    std::vector<text::TokenId> prompt;
    for (int i = 0; i < 100; ++i) prompt.push_back(3 + i * 7 % 50);
    const Answer expected = answer_without(plain_request(*model, prompt));
    for (int run = 0; run < 2; ++run) {
      FinishEvent finish;
      EXPECT_EQ(answer(*make_engine(with_snapshots(folder)), plain_request(*model, prompt), &finish),
                expected)
          << name;
      EXPECT_EQ(finish.restored_tokens, name == "lfm2" && run > 0 ? 100U : 0U) << name;
    }
    EXPECT_EQ(folder.files().empty(), name == "qwen35");
  }
}

}  // namespace
}  // namespace hearth::engine
