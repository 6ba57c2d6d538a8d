// Drafts, of a session's own text and by a draft model: faster or as fast, and the same text.
#include <gtest/gtest.h>

#include "engine/scheduler_for_test.h"

namespace hearth::engine {
namespace {

TEST(Scheduler, TextThatRepeatsItselfIsDraftedAndStaysTheSame) {
  FakeModel fake;
  fake.n_seen = 2;
  const auto prompt = random_prompt(60, 3);
  const auto expected = FakeRunner::expected_answer(fake, prompt, 400, true);
  for (const bool speculation : {false, true}) {
    EngineOptions options;
    options.speculation = speculation;
    Bench bench(64, options, fake);
    RecordingSink& sink = bench.submit(Bench::request(prompt, 400));
    const int n_steps = bench.run_until_idle();
    EXPECT_EQ(sink.ids, expected);
    EXPECT_EQ(sink.finish.completion_tokens, 400U);
    const EngineStats stats = bench.scheduler->stats();
    EXPECT_LE(stats.accepted_tokens, stats.drafted_tokens);
    EXPECT_EQ(stats.drafted_tokens > 0, speculation);
    if (speculation) {
      EXPECT_LT(n_steps, 200);
      EXPECT_GT(stats.accepted_tokens, stats.drafted_tokens / 2);
    }
    EXPECT_TRUE(bench.is_clean());
  }
}

// At a temperature the draw belongs to the token's number, so drafts change nothing there either.
TEST(Scheduler, DraftsDoNotChangeWhatIsDrawn) {
  FakeModel fake;
  fake.n_seen = 1;
  std::vector<std::vector<TokenId>> answers;
  for (const bool speculation : {false, true}) {
    EngineOptions options;
    options.speculation = speculation;
    Bench bench(64, options, fake);
    GenerateRequest request = Bench::request(random_prompt(60, 3), 300);
    request.sampling.temperature = 0.7F;
    request.sampling.repetition_penalty = 1.05F;
    request.sampling.seed = 11;
    request.sampling.logit_bias = {{fake.unsure_token, -100.0F}};
    RecordingSink& sink = bench.submit(std::move(request));
    bench.run_until_idle();
    EXPECT_EQ(sink.ids.size(), 300U);
    EXPECT_EQ(bench.scheduler->stats().drafted_tokens > 0, speculation);
    answers.push_back(sink.ids);
  }
  EXPECT_EQ(answers[0], answers[1]);
}

// A draft model that always agrees, and one that hardly ever does: the same text in few steps, or in
// next to no more steps and drafts than without.
TEST(Scheduler, ADraftModelChangesTheSpeedAlone) {
  FakeModel agrees, differs;
  agrees.identity = 2;
  agrees.voice = FakeModel{}.identity;
  agrees.n_layers = 2;
  differs.identity = 3;
  const FakeModel* const drafts[] = {nullptr, &agrees, &differs};
  const auto prompt = random_prompt(60, 3);
  for (const float temperature : {0.0F, 0.8F}) {
    std::vector<std::vector<TokenId>> answers;
    std::vector<EngineStats> stats;
    for (const FakeModel* const fake : drafts) {
      Bench bench(128);
      GenerateRequest request = Bench::request(prompt, 400);
      request.sampling.temperature = temperature;
      request.sampling.seed = 5;
      request.sampling.logit_bias = {{FakeModel{}.unsure_token, -100.0F}};
      const auto drafter = fake != nullptr ? std::make_shared<FakeRunner>(*fake) : nullptr;
      RecordingSink& sink = bench.submit(std::move(request), nullptr, drafter);
      bench.run_until_idle();
      EXPECT_EQ(sink.finish.completion_tokens, 400U);
      EXPECT_TRUE(bench.is_clean());
      answers.push_back(sink.ids);
      stats.push_back(bench.scheduler->stats());
    }
    EXPECT_EQ(answers[1], answers[0]);
    EXPECT_EQ(answers[2], answers[0]);
    EXPECT_LE(stats[1].drafted_tokens - stats[1].accepted_tokens, 6U) << "those of the text itself";
    EXPECT_LT(stats[1].steps, 150U);
    EXPECT_GE(stats[2].steps, 380U);
    EXPECT_LT(stats[2].drafted_tokens, 50U);
  }
}

// Drafts for several sessions at once, whose draft pages come out of the same memory.
TEST(Scheduler, DraftModelsGiveUpTheirPagesFirst) {
  FakeModel agrees;
  agrees.identity = 2;
  agrees.voice = FakeModel{}.identity;
  for (const std::uint64_t n_pages : {128U, 40U, 34U, 32U}) {
    Bench bench(n_pages);
    const auto drafter = std::make_shared<FakeRunner>(agrees);
    for (unsigned i = 0; i < 4; ++i) {
      bench.submit(Bench::request(random_prompt(60 + 10 * i, i), 180), nullptr, drafter);
    }
    bench.run_until_idle();
    for (unsigned i = 0; i < 4; ++i) {
      EXPECT_EQ(bench.sinks[i]->ids,
                FakeRunner::expected_answer(bench.fake_model, random_prompt(60 + 10 * i, i), 180,
                                            true));
    }
    EXPECT_GT(bench.scheduler->stats().accepted_tokens, n_pages == 128 ? 300U : 0U);
    EXPECT_TRUE(bench.is_clean());
  }
}

TEST(Scheduler, ADraftModelThatFailsIsLeftOut) {
  FakeModel agrees;
  agrees.identity = 2;
  agrees.voice = FakeModel{}.identity;
  Bench bench(128);
  const auto drafter = std::make_shared<FakeRunner>(agrees);
  int n_runs = 0;
  drafter->on_run = [&](auto) -> Result<> {
    if (++n_runs > 20) return fail(Code::kInternal, "injected");
    return {};
  };
  const auto prompt = random_prompt(60, 3);
  RecordingSink& sink = bench.submit(Bench::request(prompt, 200), nullptr, drafter);
  bench.run_until_idle();
  EXPECT_EQ(sink.ids, FakeRunner::expected_answer(bench.fake_model, prompt, 200, true));
  EXPECT_EQ(n_runs, 21);
  EXPECT_TRUE(bench.is_clean());
}

TEST(DraftAccount, RisksLittleAndFollowsWhatItCosts) {
  const DraftTrust hopeful(0.9F);
  DraftAccount account;
  EXPECT_GT(account.n_worthwhile(hopeful, 0, 1), 0U);
  EXPECT_EQ(account.n_worthwhile(hopeful, 1000, 1), 0U) << "too much to catch up with untried";
  for (int i = 0; i < 6; ++i) account.learn(3, 0);
  EXPECT_EQ(account.n_worthwhile(hopeful, 0, 1), 0U) << "lost what may be lost";
  for (int i = 0; i < 500; ++i) account.count_step();
  EXPECT_GT(account.n_worthwhile(hopeful, 0, 1), 0U) << "a small part of many steps";

  DraftAccount good;
  for (int i = 0; i < 20; ++i) good.learn(4, 4);
  EXPECT_GT(good.first_trust().chance(), 0.8F);
  EXPECT_EQ(good.n_worthwhile(hopeful, 1000, 10), 0U) << "a short answer does not earn it back";
  EXPECT_GT(good.n_worthwhile(hopeful, 1000, 400), 0U);
  for (int i = 0; i < 50; ++i) {
    good.time_pass(1'000'000);
    good.time_step(1'000'000, 0);
  }
  EXPECT_EQ(good.n_worthwhile(hopeful, 0, 400), 0U) << "as slow as its target";
}

TEST(PromptLookup, DraftsWhatFollowedAndStopsWhereItDoesNotPay) {
  std::vector<TokenId> tokens{1, 2, 3, 4, 5, 6, 9, 9, 2, 3, 4};
  PromptLookup lookup(tokens.size());
  std::vector<TokenId> draft;
  lookup.propose(tokens, 7, draft);
  ASSERT_FALSE(draft.empty());
  EXPECT_TRUE(std::equal(draft.begin(), draft.end(), tokens.begin() + 4));
  for (int i = 0; i < 30; ++i) lookup.learn(4, 4);
  EXPECT_EQ(lookup.n_worthwhile(), kDraftTokensMax);
  lookup.propose(tokens, 7, draft);
  EXPECT_EQ(draft, (std::vector<TokenId>{5, 6, 9, 9, 2, 3, 4}));
  lookup.propose(tokens, 2, draft);
  EXPECT_EQ(draft, (std::vector<TokenId>{5, 6}));
  for (int i = 0; i < 30; ++i) lookup.learn(2, 0);
  lookup.propose(tokens, 7, draft);
  EXPECT_TRUE(draft.empty());
  tokens.push_back(77);
  lookup.propose(tokens, 7, draft);
  EXPECT_TRUE(draft.empty());
}

}  // namespace
}  // namespace hearth::engine
