// The scheduler over a fake model: behaviour of each promise, then a simulation of random
// clients that checks all of them together.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <numeric>
#include <random>
#include <set>
#include <thread>

#include "engine/scheduler_for_test.h"
#include "engine/snapshot_for_test.h"

namespace hearth::engine {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kPageTokens = model::kPageTokens;

TEST(Scheduler, AnswersAndCounts) {
  Bench bench(32);
  const auto prompt = random_prompt(50, 1);
  RecordingSink& sink = bench.submit(Bench::request(prompt, 20));
  bench.run_until_idle();
  EXPECT_EQ(sink.n_finished, 1);
  EXPECT_EQ(sink.finish.reason, FinishReason::kLength);
  EXPECT_EQ(sink.ids, FakeRunner::expected_answer(bench.fake_model, prompt, 20, true));
  EXPECT_EQ(sink.finish.prompt_tokens, 50U);
  EXPECT_EQ(sink.finish.completion_tokens, 20U);
  EXPECT_EQ(sink.finish.cached_tokens, 0U);
  const EngineStats stats = bench.scheduler->stats();
  EXPECT_EQ(stats.jobs_finished, 1U);
  EXPECT_EQ(stats.prompt_tokens, 50U);
  EXPECT_EQ(stats.completion_tokens, 20U);
  EXPECT_EQ(stats.steps, 20U);
  EXPECT_TRUE(bench.is_clean());
}

// Sessions of one base with many adapters, in one batch and over one cache, with prompts that begin
// alike: each answers as if it were alone.
TEST(Scheduler, SixtyFourAdaptersAtRandomAnswerAsEachAlone) {
  std::vector<std::shared_ptr<const model::Adapter>> adapters;
  const std::vector<TokenId> invocation = {9, 9};
  for (std::uint64_t i = 0; i < 64; ++i) {
    const bool is_activated = i % 4 == 0;
    adapters.push_back(
        std::make_shared<FakeAdapter>(i + 1, is_activated ? invocation : std::vector<TokenId>{}));
  }
  std::mt19937 random(5);
  std::vector<GenerateRequest> requests;
  for (int i = 0; i < 200; ++i) {
    std::vector<TokenId> prompt = random_prompt(40 + random() % 60, 1);
    if (random() % 2 == 0) prompt[prompt.size() - random() % 40 - 2] = 9;
    if (random() % 2 == 0) std::fill_n(prompt.end() - 4 - random() % 30, 2, 9);
    GenerateRequest request = Bench::request(std::move(prompt), 6);
    if (random() % 8 != 0) request.adapters.push_back({adapters[random() % 64], 1.0F});
    if (random() % 4 == 0) request.adapters.push_back({adapters[random() % 64], 0.5F});
    if (!check_adapters(request.adapters)) request.adapters.pop_back();
    requests.push_back(std::move(request));
  }
  Bench bench(400);
  for (const GenerateRequest& request : requests) bench.submit(request);
  bench.run_until_idle();
  EngineOptions no_cache;
  no_cache.prefix_cache = false;
  std::uint64_t n_cached = 0;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    Bench alone(32, no_cache);
    const RecordingSink& expected = alone.submit(requests[i]);
    alone.run_until_idle();
    EXPECT_EQ(bench.sinks[i]->ids, expected.ids) << i;
    n_cached += bench.sinks[i]->finish.cached_tokens;
  }
  EXPECT_GT(n_cached, 1000U) << "equal adapters share";
  EXPECT_TRUE(bench.is_clean());
}

TEST(Scheduler, TimesAreThoseOfTheClock) {
  Bench bench(32);
  RecordingSink& sink = bench.submit(Bench::request(random_prompt(600 / 4, 1), 5));
  bench.clock.advance(40ms);
  bench.runner->on_run = [&](auto) -> Result<> {
    bench.clock.advance(10ms);
    return {};
  };
  bench.run_until_idle();
  EXPECT_DOUBLE_EQ(sink.finish.queue_ms, 41.0);
  EXPECT_DOUBLE_EQ(sink.finish.prefill_ms, 10.0);
  EXPECT_DOUBLE_EQ(sink.finish.decode_ms, 44.0);
}

TEST(Scheduler, ASecondTurnComputesOnlyWhatIsNew) {
  Bench bench(32);
  std::vector<TokenId> chat = random_prompt(70, 2);
  RecordingSink& first = bench.submit(Bench::request(chat, 30));
  bench.run_until_idle();
  chat.insert(chat.end(), first.ids.begin(), first.ids.end());
  const auto question = random_prompt(12, 3);
  chat.insert(chat.end(), question.begin(), question.end());

  std::size_t n_computed = 0;
  bench.runner->on_run = [&](auto batch) -> Result<> {
    for (const auto& segment : batch) n_computed += segment.tokens.size();
    return {};
  };
  RecordingSink& second = bench.submit(Bench::request(chat, 1));
  bench.run_until_idle();
  EXPECT_EQ(second.finish.cached_tokens, 99U) << "all but the first answer's last token";
  EXPECT_EQ(n_computed, 13U);
  EXPECT_EQ(second.ids, FakeRunner::expected_answer(bench.fake_model, chat, 1, true));
}

TEST(Scheduler, SeveralAnswersToOnePromptComputeItOnce) {
  Bench bench(32);
  const auto prompt = random_prompt(3 * kPageTokens + 8, 4);
  std::size_t n_computed = 0;
  bench.runner->on_run = [&](auto batch) -> Result<> {
    for (const auto& segment : batch) n_computed += segment.tokens.size();
    return {};
  };
  for (int i = 0; i < 4; ++i) bench.submit(Bench::request(prompt, 1));
  bench.run_until_idle();
  EXPECT_EQ(n_computed, prompt.size() + 3 * 8);
  for (const auto& sink : bench.sinks) {
    EXPECT_EQ(sink->ids, FakeRunner::expected_answer(bench.fake_model, prompt, 1, true));
  }
  EXPECT_EQ(bench.sinks[3]->finish.cached_tokens, 3 * kPageTokens);
}

TEST(Scheduler, LongPromptsDoNotStallOthers) {
  EngineOptions options;
  options.prefill_chunk_tokens = 64;
  Bench bench(64, options);
  RecordingSink& talker = bench.submit(Bench::request(random_prompt(5, 1), 100));
  bench.step();
  bench.submit(Bench::request(random_prompt(400, 2), 1));
  std::size_t n_most = 0;
  bench.runner->on_run = [&](auto batch) -> Result<> {
    std::size_t n = 0;
    for (const auto& segment : batch) n += segment.tokens.size();
    n_most = std::max(n_most, n);
    return {};
  };
  const std::size_t n_before = talker.ids.size();
  for (int i = 0; i < 10; ++i) bench.step();
  EXPECT_EQ(talker.ids.size(), n_before + 10) << "one token each step";
  EXPECT_EQ(n_most, 64 / kStallDivisor + 1U);
  bench.run_until_idle();
}

// A machine on which a step takes 10 ms and each prompt token 1 ms more.
class TimedSteps {
 public:
  TimedSteps(Bench& bench, FakeRunner& runner) {
    runner.on_run = [this, &bench](std::span<const model::Segment> batch) -> Result<> {
      std::size_t n_prompt = 0;
      for (const auto& segment : batch) {
        if (segment.tokens.size() > 1) n_prompt += segment.tokens.size();
      }
      n_most = std::max(n_most, n_prompt);
      bench.clock.advance(std::chrono::milliseconds(10 + n_prompt));
      return {};
    };
  }
  std::size_t n_most = 0;  // Prompt tokens of one step.
};

TEST(Scheduler, PromptsGetWhatDecodingCanBear) {
  Bench bench(256);
  TimedSteps timed(bench, *bench.runner);
  bench.submit(Bench::request(random_prompt(40, 1), 400));
  for (int i = 0; i < 10; ++i) bench.step();
  EXPECT_EQ(timed.n_most, 40U) << "alone, a prompt is one chunk";
  timed.n_most = 0;
  RecordingSink& late = bench.submit(Bench::request(random_prompt(400, 2), 1));
  for (int i = 0; i < 60; ++i) bench.step();
  EXPECT_EQ(late.n_finished, 1);
  EXPECT_GE(timed.n_most, kStalledPromptTokensMin);
  EXPECT_LE(timed.n_most, (kStallFactor - 1) * 10 + 2);
  bench.run_until_idle();
}

TEST(Scheduler, ABurstOfPromptsGetsItsShareByHeads) {
  Bench bench(256);
  TimedSteps timed(bench, *bench.runner);
  bench.submit(Bench::request(random_prompt(40, 1), 400));
  for (int i = 0; i < 10; ++i) bench.step();
  timed.n_most = 0;
  for (std::uint32_t i = 0; i < 12; ++i) bench.submit(Bench::request(random_prompt(100, 10 + i), 4));
  bench.step();
  EXPECT_GT(timed.n_most, 90U);
  bench.run_until_idle();
}

TEST(Scheduler, AnotherModelsPromptStallsNobody) {
  Bench bench(256);
  FakeModel second;
  second.identity = 2;
  const auto other = std::make_shared<FakeRunner>(second);
  TimedSteps timed(bench, *bench.runner);
  TimedSteps other_timed(bench, *other);
  bench.submit(Bench::request(random_prompt(40, 3), 1), other);  // Shows what its prompts cost.
  bench.run_until_idle();
  bench.submit(Bench::request(random_prompt(40, 1), 400));
  for (int i = 0; i < 10; ++i) bench.step();
  other_timed.n_most = 0;
  bench.submit(Bench::request(random_prompt(400, 2), 1), other);
  for (int i = 0; i < 40; ++i) bench.step();
  EXPECT_GE(other_timed.n_most, kStalledPromptTokensMin);
  EXPECT_LE(other_timed.n_most, (kStallFactor - 1) * 10 + 2);
  bench.run_until_idle();
}

TEST(Scheduler, ClientsTakeTurns) {
  EngineOptions options;
  options.n_batch_sessions_max = 1;
  Bench bench(64, options);
  std::vector<std::string> order;
  const auto add = [&](const std::string& client, unsigned seed) {
    RecordingSink& sink = bench.submit(Bench::request(random_prompt(5, seed), 1, client));
    sink.after_token = [&order, client](RecordingSink&) { order.push_back(client); };
  };
  for (unsigned i = 0; i < 4; ++i) add("a", i);
  for (unsigned i = 0; i < 2; ++i) add("b", 10 + i);
  add("c", 20);
  bench.run_until_idle();
  EXPECT_EQ(order, (std::vector<std::string>{"a", "b", "c", "a", "b", "a", "a"}));
}

TEST(Scheduler, ANewClientGetsAPlaceInAFullBatch) {
  EngineOptions options;
  options.n_batch_sessions_max = 4;
  Bench bench(64, options);
  for (unsigned i = 0; i < 4; ++i) {
    bench.submit(Bench::request(random_prompt(5, i), 200, "greedy"));
  }
  for (int i = 0; i < 5; ++i) bench.step();
  RecordingSink& guest = bench.submit(Bench::request(random_prompt(5, 9), 3, "guest"));
  for (int i = 0; i < 4; ++i) bench.step();
  EXPECT_EQ(guest.n_finished, 1);
  bench.run_until_idle();
  for (unsigned i = 0; i < 4; ++i) {
    EXPECT_EQ(bench.sinks[i]->ids,
              FakeRunner::expected_answer(bench.fake_model, random_prompt(5, i), 200, true))
        << "a preempted answer goes on where it was";
  }
}

TEST(Scheduler, ModelsTakeTurns) {
  Bench bench(64);
  FakeModel other = bench.fake_model;
  other.identity = 2;
  other.n_layers = 3;
  const auto other_runner = std::make_shared<FakeRunner>(other);
  RecordingSink& a = bench.submit(Bench::request(random_prompt(5, 1), 50));
  RecordingSink& b = bench.submit(Bench::request(random_prompt(5, 1), 50), other_runner);
  for (int i = 0; i < 20; ++i) bench.step();
  EXPECT_EQ(a.ids.size(), 10U);
  EXPECT_EQ(b.ids.size(), 10U);
  bench.run_until_idle();
  EXPECT_EQ(a.ids, FakeRunner::expected_answer(bench.fake_model, random_prompt(5, 1), 50, true));
  EXPECT_EQ(b.ids, FakeRunner::expected_answer(other, random_prompt(5, 1), 50, true));
}

TEST(Scheduler, PreemptsTheYoungestWhenPagesRunOut) {
  Bench bench(32);  // One unit: 32 pages, 1024 tokens.
  for (unsigned i = 0; i < 4; ++i) bench.submit(Bench::request(random_prompt(100, i), 400));
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < 4; ++i) {
    bench.sinks[i]->after_token = [&order, i](RecordingSink& sink) {
      if (sink.ids.size() == 400) order.push_back(i);
    };
  }
  bench.run_until_idle();
  EXPECT_EQ(order.front(), 0U) << "the oldest is never preempted";
  for (unsigned i = 0; i < 4; ++i) {
    EXPECT_EQ(bench.sinks[i]->ids,
              FakeRunner::expected_answer(bench.fake_model, random_prompt(100, i), 400, true));
    EXPECT_EQ(bench.sinks[i]->finish.cached_tokens, 0U) << "its own pages do not count";
  }
  EXPECT_TRUE(bench.is_clean());
}

// Greedy under a mask: the best of the allowed tokens, as the raw logits rank them.
std::shared_ptr<text::grammar::Constraint> constraint_of(const FakeModel& fake, std::string_view pattern) {
  std::vector<std::string> pieces(fake.n_vocab);
  for (std::size_t i = 2; i < pieces.size(); ++i) pieces[i] = FakeText::text_of(static_cast<TokenId>(i));
  return std::make_shared<text::grammar::Constraint>(
      text::grammar::compile_regex(pattern).value(),
      text::grammar::Lexicon::create(std::move(pieces), {fake.end_token}));
}

TEST(Scheduler, AGrammarBindsItsOwnJobAndNoOther) {
  FakeModel fake;
  fake.unsure_in = 3;  // The unsure token is often the likeliest: a grammar leaves it out.
  std::vector<std::string> alone;
  for (const bool is_tight : {false, true}) {  // With and without preemption.
    Bench bench(is_tight ? 32 : 1024, {}, fake);
    const auto constraint = constraint_of(fake, "([aeiou][b-z]){150}");
    for (unsigned i = 0; i < 4; ++i) {
      GenerateRequest request = Bench::request(random_prompt(100, i), 400);
      request.ignore_eos = false;
      if (i % 2 == 1) request.constraint = constraint;
      bench.submit(std::move(request));
    }
    bench.run_until_idle();
    for (unsigned i = 0; i < 4; ++i) {
      const RecordingSink& sink = *bench.sinks[i];
      if (i % 2 == 0) {
        EXPECT_EQ(sink.ids, FakeRunner::expected_answer(fake, random_prompt(100, i), 400, false));
        continue;
      }
      EXPECT_EQ(sink.finish.reason, FinishReason::kStop);
      EXPECT_FALSE(sink.finish.unsure);
      EXPECT_EQ(sink.finish.completion_tokens, 300U) << "complete, and so ended";
      std::string text;
      for (const TokenId id : sink.ids) text += FakeText::text_of(id);
      EXPECT_TRUE(text::grammar::matches(constraint->grammar(), text)) << text;
      if (!is_tight)
        alone.push_back(text);
      else
        EXPECT_EQ(text, alone[i / 2]) << "a preempted job goes on where its grammar was";
    }
    EXPECT_TRUE(bench.is_clean());
  }
}

TEST(Scheduler, AGrammarIsEnforcedAtItsLimits) {
  FakeModel fake;
  Bench bench(64, {}, fake);
  const auto submit = [&](std::string_view pattern, std::uint32_t max_tokens, bool ignore_eos) -> RecordingSink& {
    GenerateRequest request = Bench::request(random_prompt(5, 1), max_tokens);
    request.ignore_eos = ignore_eos;
    request.constraint = constraint_of(fake, pattern);
    return bench.submit(std::move(request));
  };
  const RecordingSink& cut = submit("[a-f]{50}", 7, false);
  const RecordingSink& optional = submit("a*", 300, false);
  const RecordingSink& endless = submit("a*", 300, true);
  const RecordingSink& impossible = submit("a0b", 300, false);
  bench.run_until_idle();
  EXPECT_EQ(cut.finish.reason, FinishReason::kLength);
  EXPECT_EQ(cut.ids.size(), 7U);
  EXPECT_EQ(optional.finish.reason, FinishReason::kStop) << "by the end token, which may come at any time";
  EXPECT_LT(optional.ids.size(), 300U);
  EXPECT_EQ(endless.finish.reason, FinishReason::kLength) << "the end token is left out";
  EXPECT_EQ(impossible.finish.reason, FinishReason::kError);
  EXPECT_EQ(impossible.finish.error.code, Code::kInvalidArgument);
  EXPECT_NE(impossible.finish.error.message.find("vocabulary"), std::string::npos);
  EXPECT_TRUE(bench.is_clean());
}

TEST(Scheduler, ABigJobIsNotOvertakenForEver) {
  Bench bench(32);
  unsigned n_small = 0;
  const auto add_small = [&] {
    // Nine pages each: three run at a time, and no two of them end together.
    const std::uint32_t n_answer = n_small < 3 ? 8 + 8 * n_small : 24;
    bench.submit(Bench::request(random_prompt(260, 1000 + n_small), n_answer,
                                fmt::format("small {}", n_small)));
    ++n_small;
  };
  for (int i = 0; i < 4; ++i) add_small();
  bench.step();
  RecordingSink& big = bench.submit(Bench::request(random_prompt(500, 2), 1, "big"));
  // Small jobs never cease to wait; each that ends leaves too little room for the big one.
  for (int i = 0; i < 3000 && big.n_finished == 0; ++i) {
    while (bench.scheduler->stats().jobs_waiting < 4) add_small();
    bench.step();
  }
  EXPECT_EQ(big.n_finished, 1);
  EXPECT_GE(n_small, kOvertakesMax) << "there was somebody to overtake it";
  bench.scheduler->cancel_all();
  EXPECT_TRUE(bench.is_clean());
}

TEST(Scheduler, CancelFreesPagesAtOnce) {
  EngineOptions options;
  options.prefix_cache = false;
  Bench bench(64, options);
  RecordingSink& runs = bench.submit(Bench::request(random_prompt(100, 1), 0));
  RecordingSink& waits = bench.submit(Bench::request(random_prompt(100, 2), 0));
  bench.step();
  bench.scheduler->cancel(JobId{1});
  bench.scheduler->cancel(JobId{2});
  bench.scheduler->cancel(JobId{2});
  bench.scheduler->cancel(JobId{77});
  EXPECT_EQ(runs.n_finished, 1);
  EXPECT_EQ(waits.n_finished, 1);
  EXPECT_EQ(runs.finish.reason, FinishReason::kCancelled);
  EXPECT_EQ(bench.pool->pages_used(), 0U);
  EXPECT_FALSE(bench.step());
}

TEST(Scheduler, StopStringsEndTheTextBeforeThem) {
  Bench bench(32);
  const auto prompt = random_prompt(20, 5);
  std::string text;
  for (const TokenId id : FakeRunner::expected_answer(bench.fake_model, prompt, 40, true)) {
    text += FakeText::text_of(id);
  }
  GenerateRequest r = Bench::request(prompt, 40);
  r.stop = {text.substr(17, 3)};
  const std::size_t at = text.find(r.stop[0]);
  RecordingSink& sink = bench.submit(std::move(r));
  bench.run_until_idle();
  EXPECT_EQ(sink.text, text.substr(0, at));
  EXPECT_EQ(sink.finish.reason, FinishReason::kStop);
  EXPECT_EQ(sink.finish.stop_string, text.substr(17, 3));
  EXPECT_EQ(sink.finish.completion_tokens, at + 3);
}

TEST(Scheduler, HeldBackTextComesWithTheEnd) {
  Bench bench(32);
  const auto prompt = random_prompt(20, 5);
  std::string text;
  for (const TokenId id : FakeRunner::expected_answer(bench.fake_model, prompt, 10, true)) {
    text += FakeText::text_of(id);
  }
  GenerateRequest r = Bench::request(prompt, 10);
  r.stop = {text.substr(8) + "#"};
  RecordingSink& sink = bench.submit(std::move(r));
  bench.run_until_idle();
  EXPECT_EQ(sink.text, text);
  EXPECT_EQ(sink.finish.text, text.substr(8));
  EXPECT_EQ(sink.finish.reason, FinishReason::kLength);
}

TEST(Scheduler, EndAndUnsureTokensEndTheAnswer) {
  FakeModel fake;
  fake.end_in = 8;
  fake.unsure_in = 8;
  Bench bench(64, {}, fake);
  for (unsigned i = 0; i < 40; ++i) {
    GenerateRequest r = Bench::request(random_prompt(9, i), 200);
    r.ignore_eos = false;
    bench.submit(std::move(r));
  }
  bench.run_until_idle();
  int n_unsure = 0;
  for (unsigned i = 0; i < 40; ++i) {
    const RecordingSink& sink = *bench.sinks[i];
    const auto expected = FakeRunner::expected_answer(fake, random_prompt(9, i), 200, false);
    EXPECT_EQ(sink.ids, expected);
    EXPECT_EQ(sink.finish.reason, FinishReason::kStop);
    EXPECT_EQ(sink.finish.completion_tokens, expected.size());
    std::vector<TokenId> all = random_prompt(9, i);
    all.insert(all.end(), expected.begin(), expected.end());
    EXPECT_EQ(sink.finish.unsure, FakeRunner::next_token(fake, all) == fake.unsure_token);
    n_unsure += sink.finish.unsure ? 1 : 0;
    for (const TokenEvent& event : sink.events) EXPECT_GT(event.unsure_probability, 0.0F);
  }
  EXPECT_GT(n_unsure, 5);
  EXPECT_LT(n_unsure, 35);
}

TEST(Scheduler, EventsCarryLogprobsOfTheRawDistribution) {
  Bench bench(32);
  GenerateRequest r = Bench::request(random_prompt(9, 1), 5);
  r.n_top_logprobs = 3;
  r.sampling.logit_bias = {{30, 100.0F}};
  RecordingSink& sink = bench.submit(std::move(r));
  bench.run_until_idle();
  ASSERT_EQ(sink.events.size(), 5U);
  for (const TokenEvent& event : sink.events) {
    EXPECT_EQ(event.token.id, 30) << "the bias decides";
    ASSERT_EQ(event.top.size(), 3U);
    EXPECT_GT(event.top[0].logprob, event.top[1].logprob);
    EXPECT_GE(event.top[1].logprob, event.top[2].logprob);
    EXPECT_GT(event.top[0].logprob, event.token.logprob) << "but not the logprobs";
    EXPECT_EQ(event.token.bytes, FakeText::text_of(30));
    EXPECT_GT(event.entropy, 0.0F);
    EXPECT_LT(event.entropy, std::log(40.0F));
  }
}

TEST(Scheduler, SeedsGiveTheSameTextAloneAndInABatch) {
  const auto run = [](std::uint32_t n_others) {
    Bench bench(64);
    GenerateRequest r = Bench::request(random_prompt(9, 1), 60);
    r.sampling.temperature = 1;
    r.sampling.seed = 1234;
    for (unsigned i = 0; i < n_others; ++i) {
      bench.submit(Bench::request(random_prompt(30, 100 + i), 40));
      bench.step();
    }
    RecordingSink& sink = bench.submit(std::move(r));
    bench.run_until_idle();
    return sink.ids;
  };
  const std::vector<TokenId> alone = run(0);
  EXPECT_EQ(run(7), alone);
  EXPECT_GT(std::set<TokenId>(alone.begin(), alone.end()).size(), 10U) << "it does sample";
}

// Two positions of 38 tokens decide what follows, so that the text soon runs in circles.
TEST(Scheduler, AFailedBatchEndsItsJobsAndNoOthers) {
  Bench bench(64);
  FakeModel other = bench.fake_model;
  other.identity = 2;
  const auto other_runner = std::make_shared<FakeRunner>(other);
  RecordingSink& good = bench.submit(Bench::request(random_prompt(9, 1), 30), other_runner);
  RecordingSink& bad = bench.submit(Bench::request(random_prompt(9, 1), 30));
  RecordingSink& worse = bench.submit(Bench::request(random_prompt(9, 2), 30));
  int n_runs = 0;
  bench.runner->on_run = [&](auto) -> Result<> {
    if (++n_runs == 5) throw std::bad_alloc();
    return {};
  };
  bench.run_until_idle();
  EXPECT_EQ(good.finish.reason, FinishReason::kLength);
  for (const RecordingSink* sink : {&bad, &worse}) {
    EXPECT_EQ(sink->n_finished, 1);
    EXPECT_EQ(sink->finish.reason, FinishReason::kError);
    EXPECT_EQ(sink->finish.error.code, Code::kOutOfBudget);
    EXPECT_EQ(sink->ids.size(), 4U);
  }
  EXPECT_TRUE(bench.is_clean());
}

TEST(Scheduler, ASinkThatThrowsEndsItsOwnJob) {
  Bench bench(64);
  RecordingSink& bad = bench.submit(Bench::request(random_prompt(9, 1), 30));
  RecordingSink& good = bench.submit(Bench::request(random_prompt(9, 2), 30));
  bad.after_token = [](RecordingSink& sink) {
    if (sink.ids.size() == 3) throw std::runtime_error("full");
  };
  bench.run_until_idle();
  EXPECT_EQ(bad.finish.reason, FinishReason::kError);
  EXPECT_EQ(bad.finish.error.message, "full");
  EXPECT_EQ(good.finish.reason, FinishReason::kLength);
  EXPECT_TRUE(bench.is_clean());
}

TEST(CheckRequest, SaysWhatIsWrong) {
  const auto message = [](auto change, std::uint32_t n_context = 100) {
    GenerateRequest r = Bench::request(random_prompt(9, 1), 5);
    change(r);
    const auto result = check_request(r, 40, n_context);
    return result ? std::string() : result.error().message;
  };
  EXPECT_EQ(message([](auto&) {}), "");
  EXPECT_NE(message([](auto& r) { r.prompt.clear(); }), "");
  EXPECT_EQ(message([](auto& r) { r.prompt.resize(99, 3); }), "");
  EXPECT_NE(message([](auto& r) { r.prompt.resize(100, 3); })
                .find("100 tokens exceeds the available context size of 100 tokens"),
            std::string::npos);
  EXPECT_NE(message([](auto& r) { r.prompt[2] = 40; }), "");
  EXPECT_NE(message([](auto& r) { r.prompt[2] = -1; }), "");
  EXPECT_EQ(message([](auto& r) { r.n_top_logprobs = 20; }), "");
  EXPECT_NE(message([](auto& r) { r.n_top_logprobs = 21; }), "");
  EXPECT_NE(message([](auto& r) { r.sampling.logit_bias = {{40, 1.0F}}; }), "");
  EXPECT_NE(message([](auto& r) { r.sampling.temperature = -1; }), "");
  EXPECT_NE(message([](auto& r) { r.stop = {""}; }), "");
}

TEST(CheckRequest, TheAnswerEndsWithTheContext) {
  GenerateRequest r = Bench::request(random_prompt(9, 1), 0);
  EXPECT_EQ(check_request(r, 40, 100).value(), 100U);
  r.max_tokens = 500;
  EXPECT_EQ(check_request(r, 40, 100).value(), 100U);
  r.max_tokens = 5;
  EXPECT_EQ(check_request(r, 40, 100).value(), 14U);
}

TEST(Scheduler, AnAnswerMayFillTheWholeArena) {
  FakeModel fake;
  fake.n_context = 100000;
  Bench bench(32, {}, fake);
  RecordingSink& sink = bench.submit(Bench::request(random_prompt(1000, 1), 0));
  bench.run_until_idle();
  EXPECT_EQ(sink.finish.reason, FinishReason::kLength);
  EXPECT_EQ(sink.finish.completion_tokens, 24U);
}

// Every acquisition of a page may fail once: the job ends or is repeated, nothing leaks, and no
// answer is wrong.
TEST(Scheduler, SurvivesAFaultAtEachPage) {
  for (std::uint64_t n = 1; n <= 60; ++n) {
    Bench bench(32);
    bench.pool->fail_nth_page(n);
    for (unsigned i = 0; i < 3; ++i) bench.submit(Bench::request(random_prompt(90, i), 150));
    bench.run_until_idle();
    for (unsigned i = 0; i < 3; ++i) {
      const RecordingSink& sink = *bench.sinks[i];
      ASSERT_EQ(sink.n_finished, 1);
      const auto expected =
          FakeRunner::expected_answer(bench.fake_model, random_prompt(90, i), 150, true);
      if (sink.finish.reason == FinishReason::kLength) {
        EXPECT_EQ(sink.ids, expected);
      } else {
        EXPECT_EQ(sink.finish.error.code, Code::kOutOfBudget);
      }
    }
    EXPECT_TRUE(bench.is_clean());
  }
}

// One random life of a scheduler: clients, models, prompts that share prefixes, limits, stop
// strings, cancels, failing batches, in an arena that is too small for them.
class Simulation {
 public:
  // With `desk` there is a disk, too, whose threads bring their news when they like.
  explicit Simulation(unsigned seed, SnapshotDesk* desk = nullptr)
      : random_(seed),
        has_disk_(desk != nullptr),
        bench_(32 * (1 + seed % 3), options(seed), {}, desk),
        n_jobs_(20 + random_() % 60) {
    for (std::uint64_t i = 0; i < 3; ++i) {
      FakeModel fake;
      fake.identity = 10 + i;
      fake.n_layers = static_cast<std::uint32_t>(1 + i * (seed % 4));
      fake.n_context = 300;
      fake.unsure_in = 256;
      if ((seed + i) % 2 == 0) fake.n_seen = 2;  // Much of its text is drafted.
      models_.push_back(fake);
      runners_.push_back(std::make_shared<FakeRunner>(fake));
      runners_.back()->on_run = [this](auto batch) { return before_run(batch); };
      // One draft model agrees with its target, one differs, one model has none.
      FakeModel draft = fake;
      draft.identity = 20 + i;
      draft.voice = i == 0 ? fake.identity : 0;
      draft.n_layers = 1;
      drafters_.push_back(i == 2 ? nullptr : std::make_shared<FakeRunner>(draft));
      if (i != 2) drafters_.back()->on_run = runners_.back()->on_run;
    }
    for (unsigned i = 0; i < 4; ++i) prefixes_.push_back(random_prompt(40 + random_() % 120, i));
  }

  void run() {
    int n_idle = 0;
    for (int n_steps = 0; n_idle < 3 && !::testing::Test::HasFailure(); ++n_steps) {
      ASSERT_LT(n_steps, 100000) << "somebody starves";
      if (jobs_.size() < n_jobs_ && random_() % 3 == 0) submit();
      if (!jobs_.empty() && random_() % 16 == 0) cancel();
      fails_ = random_() % 200 == 0;
      const bool has_worked = bench_.step();
      n_idle = has_worked || jobs_.size() < n_jobs_ ? 0 : n_idle + 1;
      if (has_disk_ && n_idle > 0 && bench_.scheduler->stats().jobs_waiting > 0) {
        n_idle = 0;
        --n_steps;
        std::this_thread::sleep_for(std::chrono::microseconds(20));
      }
    }
    bench_.scheduler->settle(std::chrono::steady_clock::now() + std::chrono::seconds(20));
    check();
  }

 private:
  struct Planned {
    std::vector<TokenId> expected;
    bool is_cancelled = false;
  };

  static EngineOptions options(unsigned seed) {
    EngineOptions options;
    options.prefill_chunk_tokens = 1 + (seed * 7) % 100;
    options.n_batch_sessions_max = 1 + seed % 9;
    options.prefix_cache = seed % 5 != 0;
    options.snapshots.tokens_min = 32;
    return options;
  }

  Result<> before_run(std::span<const model::Segment> batch) {
    std::set<const std::byte*> written;
    for (const model::Segment& segment : batch) {
      const std::size_t end = segment.position + segment.tokens.size();
      for (std::size_t i = segment.position / kPageTokens; i * kPageTokens < end; ++i) {
        EXPECT_TRUE(written.insert(segment.pages[i]).second) << "two sessions write one page";
      }
    }
    if (fails_) return fail(Code::kInternal, "injected");
    return {};
  }

  void submit() {
    const std::size_t m = random_() % models_.size();
    std::vector<TokenId> prompt = prefixes_[random_() % prefixes_.size()];
    prompt.resize(1 + random_() % prompt.size());
    const auto tail = random_prompt(random_() % 60, static_cast<unsigned>(random_() % 7));
    prompt.insert(prompt.end(), tail.begin(), tail.end());
    const std::uint32_t n_context = bench_.context(*runners_[m]);
    prompt.resize(std::min<std::size_t>(prompt.size(), n_context - 1));
    const auto n_max = static_cast<std::uint32_t>(
        std::min<std::size_t>(1 + random_() % 80, n_context - prompt.size()));
    GenerateRequest r = Bench::request(prompt, n_max,
                                       fmt::format("client {}", random_() % 5));
    r.ignore_eos = random_() % 2 == 0;
    jobs_.push_back({FakeRunner::expected_answer(models_[m], prompt, r.max_tokens, r.ignore_eos)});
    bench_.submit(std::move(r), runners_[m], random_() % 3 != 0 ? drafters_[m] : nullptr);
  }

  void cancel() {
    const std::size_t i = random_() % jobs_.size();
    if (bench_.sinks[i]->n_finished > 0) return;
    bench_.scheduler->cancel(JobId{i + 1});
    EXPECT_EQ(bench_.sinks[i]->n_finished, 1);
  }

  void check() {
    for (std::size_t i = 0; i < jobs_.size(); ++i) {
      const RecordingSink& sink = *bench_.sinks[i];
      ASSERT_EQ(sink.n_finished, 1) << "job " << i;
      const std::vector<TokenId>& expected = jobs_[i].expected;
      ASSERT_LE(sink.ids.size(), expected.size());
      ASSERT_TRUE(std::equal(sink.ids.begin(), sink.ids.end(), expected.begin())) << "job " << i;
      const bool is_whole = sink.finish.reason == FinishReason::kStop ||
                            sink.finish.reason == FinishReason::kLength;
      ASSERT_TRUE(!is_whole || sink.ids.size() == expected.size());
      ASSERT_EQ(sink.finish.completion_tokens, sink.ids.size());
    }
    ASSERT_TRUE(bench_.is_clean());
    ASSERT_EQ(bench_.scheduler->stats().jobs_finished, jobs_.size());
    bench_.scheduler.reset();
    ASSERT_EQ(bench_.pool->pages_used(), 0U);
  }

  std::mt19937 random_;
  bool has_disk_;
  Bench bench_;
  std::size_t n_jobs_;
  std::vector<FakeModel> models_;
  std::vector<std::shared_ptr<FakeRunner>> runners_, drafters_;
  std::vector<std::vector<TokenId>> prefixes_;
  std::vector<Planned> jobs_;
  bool fails_ = false;
};

// HEARTH_SIM_SEED replays one seed; HEARTH_SIM_ROUNDS runs more of them.
TEST(SchedulerSimulation, RandomClientsLoseNothing) {
  const char* const one = std::getenv("HEARTH_SIM_SEED");
  const char* const many = std::getenv("HEARTH_SIM_ROUNDS");
  const unsigned first = one != nullptr ? static_cast<unsigned>(std::atoi(one)) : 1;
  const unsigned rounds =
      one != nullptr ? 1 : many != nullptr ? static_cast<unsigned>(std::atoi(many)) : 150;
  for (unsigned seed = first; seed < first + rounds; ++seed) {
    SCOPED_TRACE(fmt::format("HEARTH_SIM_SEED={}", seed));
    Simulation(seed).run();
    if (HasFailure()) return;
  }
}

// The same with a disk: each life twice, so that the second one finds what the first one left.
TEST(SchedulerSimulation, RandomClientsWithADiskLoseNothing) {
  const char* const one = std::getenv("HEARTH_SIM_SEED");
  const unsigned first = one != nullptr ? static_cast<unsigned>(std::atoi(one)) : 1;
  const unsigned rounds = one != nullptr ? 1 : 25;
  std::uint64_t n_written = 0;
  for (unsigned seed = first; seed < first + rounds; ++seed) {
    SCOPED_TRACE(fmt::format("HEARTH_SIM_SEED={}", seed));
    const SnapshotTempFolder folder;
    for (int life = 0; life < 2; ++life) {
      SnapshotDesk desk(folder.options(std::uint64_t{1} << (18 + seed % 4)), nullptr);
      Simulation(seed, &desk).run();
      n_written += desk.folder().stats().files_written;
      EXPECT_EQ(desk.folder().stats().damaged, 0U);
    }
    if (HasFailure()) return;
  }
  EXPECT_GT(n_written, 0U);
}

}  // namespace
}  // namespace hearth::engine
