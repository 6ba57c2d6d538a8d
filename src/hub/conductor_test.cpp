// The conductor with scripted parts: every way that a request can go, and its receipt.
#include "hub/conductor.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base/temp_folder_for_test.h"
#include "hub/fakes_for_test.h"
#include "hub/notices.h"
#include "hub/receipt_json.h"

namespace hearth::hub {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr float kSureLogprob = -0.01F;
constexpr float kShakyLogprob = -3.0F;

void say_sure(FakeJob& job) {
  job.say("The sky ", kSureLogprob);
  job.say("is blue.", kSureLogprob);
  job.end();
}

// Doubts its draft; once the prompt carries advice, it is sure.
void say_shaky_then_advised(FakeJob& job) {
  const bool is_advised = job.prompt_text().find("Advice:") != std::string::npos;
  job.say(is_advised ? "Final answer." : "Perhaps green.",
          is_advised ? kSureLogprob : kShakyLogprob);
  job.end();
}

void end_unsure(FakeJob& job) { job.end({.unsure = true}); }

class ConductorTest : public ::testing::Test {
 protected:
  ConductorTest() {
    source_ = std::make_unique<FakeSource>();
  }
  ~ConductorTest() override {
    hub_.reset();
  }

  // Starts the hub; `with_adviser` puts `adviser_` in it.
  void start(FakeEngine::Script script, bool with_adviser = false, ConductorOptions options = {}) {
    if (source_->entries.empty()) source_->add("tiny", std::make_shared<FakeModel>());
    ConductorParts parts;
    parts.ledger =
        std::move(*ledger::Ledger::open(folder_ / "ledger.db", ledger::Ledger::Mode::kReadWrite));
    ledger_ = parts.ledger.get();
    parts.writer = std::make_unique<ledger::LedgerWriter>(*parts.ledger);
    if (options.defers) {
      parts.advice_store = std::move(*advisor::AdviceStore::open({.file = folder_ / "advice.db"}));
      store_ = parts.advice_store.get();
    }
    if (with_adviser) {
      auto adviser = std::make_unique<FakeAdviser>();
      adviser_ = adviser.get();
      parts.adviser = std::move(adviser);
    }
    auto engine = std::make_unique<FakeEngine>(std::move(script));
    engine_ = engine.get();
    parts.engine = std::move(engine);
    source_view_ = source_.get();
    parts.shelf = std::make_unique<ModelShelf>(std::move(source_), ShelfOptions{});
    hub_ = std::make_unique<Conductor>(std::move(parts), options);
  }
  void start_advised(FakeEngine::Script script, std::optional<advisor::Advice> answer) {
    start(std::move(script), true);
    adviser_->answer = std::move(answer);
  }

  static ChatRequest question(std::string model = "auto") {
    return {.model = std::move(model), .messages = {{.content = "What colour is the sky?"}}};
  }
  std::shared_ptr<CollectingSink> ask(ChatRequest request) {
    auto sink = std::make_shared<CollectingSink>();
    const auto id = hub_->chat(std::move(request), sink);
    EXPECT_TRUE(id) << (id ? "" : id.error().message);
    if (id) last_id_ = *id;
    return sink;
  }
  std::shared_ptr<CollectingSink> answered(ChatRequest request) {
    auto sink = ask(std::move(request));
    EXPECT_TRUE(sink->wait());
    return sink;
  }

  void wait_until_asked() {
    for (int i = 0; i < 20'000 && adviser_->n_asked() == 0; ++i) std::this_thread::sleep_for(milliseconds(1));
  }

  TempFolder folder_;
  std::unique_ptr<FakeSource> source_;
  FakeSource* source_view_ = nullptr;
  ledger::Ledger* ledger_ = nullptr;
  FakeEngine* engine_ = nullptr;
  FakeAdviser* adviser_ = nullptr;
  advisor::AdviceStore* store_ = nullptr;
  std::unique_ptr<Conductor> hub_;
  RequestId last_id_{};
};

const advisor::Advice kGoodAdvice{.status = advisor::AdviceStatus::kAnswered,
                                  .text = "It is blue.",
                                  .attempts = 1,
                                  .bytes_out = 321,
                                  .cost_usd_micro = 42};

TEST_F(ConductorTest, CountsTokensWithoutAnAnswer) {
  start(say_sure);
  ChatRequest request = question();
  request.counts_only = true;
  const auto counted = answered(request);
  ASSERT_TRUE(counted->receipt());
  EXPECT_EQ(counted->text(), "");
  EXPECT_EQ(counted->n_choice_ends(), 0);
  const auto spoken = answered(question());
  EXPECT_EQ(counted->receipt()->usage.prompt_tokens, spoken->receipt()->usage.prompt_tokens);
  EXPECT_FALSE(ledger_->receipt(counted->receipt()->id)) << "nothing was answered";
}

TEST_F(ConductorTest, SaysWhichStopStringEndedAnAnswer) {
  start([](FakeJob& job) {
    job.say("The sky");
    job.end({.stop_string = " is"});
  });
  EXPECT_EQ(answered(question())->stop_string(), " is");
}

TEST_F(ConductorTest, AnswersLocallyAndStoresTheReceiptFirst) {
  start(say_sure);
  ChatRequest request = question();
  request.client = "ann";
  const auto sink = answered(request);
  EXPECT_EQ(sink->text(), "The sky is blue.");
  ASSERT_TRUE(sink->receipt());
  const Receipt receipt = *sink->receipt();
  EXPECT_EQ(receipt.model, "tiny");
  EXPECT_EQ(receipt.end, "stop");
  EXPECT_EQ(receipt.advice, AdviceOutcome::kNotNeeded);
  EXPECT_GT(receipt.confidence, 0.9F);
  EXPECT_EQ(receipt.bytes_out, 0U);
  EXPECT_EQ(receipt.usage.completion_tokens, 2U);
  EXPECT_EQ(sink->n_choice_ends(), 1);
  const auto stored = ledger_->receipt(receipt.id);
  ASSERT_TRUE(stored);
  EXPECT_EQ(stored->client, "ann");
  const auto read = receipt_from_json(stored->json);
  ASSERT_TRUE(read);
  EXPECT_EQ(receipt_to_json(*read), receipt_to_json(receipt));
  EXPECT_EQ(hub_->stats().answered, 1U);
}

TEST_F(ConductorTest, StreamsAtOnceWhenNoAdviceIsPossible) {
  std::atomic<bool> go_on = false;
  start([&](FakeJob& job) {
    job.say("first", kShakyLogprob);
    while (!go_on && !job.is_cancelled()) std::this_thread::sleep_for(milliseconds(1));
    job.say(" second", kShakyLogprob);
    job.end();
  });
  const auto sink = ask(question());
  EXPECT_TRUE(sink->wait_for_text("first"));
  go_on = true;
  ASSERT_TRUE(sink->wait());
  EXPECT_EQ(sink->receipt()->advice, AdviceOutcome::kNotConfigured);
  EXPECT_THAT(sink->receipt()->advice_detail, HasSubstr("[advisor]"));
}

TEST_F(ConductorTest, HoldsBackOnlyUntilConfidenceIsSettled) {
  std::atomic<bool> go_on = false;
  start_advised(
      [&](FakeJob& job) {
        for (int i = 0; i < 60; ++i) job.say("x");
        while (!go_on && !job.is_cancelled()) std::this_thread::sleep_for(milliseconds(1));
        for (int i = 0; i < 60; ++i) job.say("y", -5.0F);
        job.end();
      },
      kGoodAdvice);
  const auto sink = ask(question());
  EXPECT_TRUE(sink->wait_for_text(std::string(60, 'x')));
  go_on = true;
  ASSERT_TRUE(sink->wait());
  EXPECT_EQ(adviser_->n_asked(), 0U) << "what is shown can't be taken back";
  EXPECT_EQ(sink->text(), std::string(60, 'x') + std::string(60, 'y'));
  EXPECT_EQ(sink->receipt()->advice, AdviceOutcome::kNotNeeded);
}

TEST_F(ConductorTest, ASureSelfAssessmentStreamsFromTheFirstToken) {
  source_->add("ember", std::make_shared<FakeModel>(true, true), "embedded");
  std::atomic<bool> go_on = false;
  start_advised(
      [&](FakeJob& job) {
        job.say("I know", kShakyLogprob, 0.1F);
        while (!go_on && !job.is_cancelled()) std::this_thread::sleep_for(milliseconds(1));
        job.end();
      },
      kGoodAdvice);
  const auto sink = ask(question());
  EXPECT_TRUE(sink->wait_for_text("I know"));
  go_on = true;
  ASSERT_TRUE(sink->wait());
  EXPECT_FLOAT_EQ(sink->receipt()->confidence, 0.9F);
}

TEST_F(ConductorTest, AnUnsureDraftGetsAdviceAndTheLocalModelFinishes) {
  std::string final_prompt;
  start_advised(
      [&](FakeJob& job) {
        if (job.prompt_text().find("Advice:") != std::string::npos)
          final_prompt = job.prompt_text();
        say_shaky_then_advised(job);
      },
      kGoodAdvice);
  ChatRequest request = question();
  request.messages.insert(request.messages.begin(),
                          {.role = Role::kSystem, .content = "PRIVATE SYSTEM TEXT"});
  const auto sink = answered(request);
  EXPECT_EQ(sink->text(), "Final answer.") << "the draft must not show";
  EXPECT_THAT(sink->status(), HasSubstr("asking the adviser acme/wise-1"));
  EXPECT_THAT(sink->advice(), StartsWith("acme/wise-1: "));
  const Receipt receipt = *sink->receipt();
  EXPECT_EQ(receipt.advice, AdviceOutcome::kAdvised);
  EXPECT_EQ(receipt.adviser, "acme/wise-1");
  EXPECT_EQ(receipt.bytes_out, 321U);
  EXPECT_EQ(receipt.cost_usd_micro, 42);
  EXPECT_LT(receipt.confidence, 0.5F);
  EXPECT_FALSE(receipt.advice_relayed);
  EXPECT_EQ(receipt.usage.completion_tokens, 2U);

  // The adviser saw the question and the draft, not the system text; the ledger gets the rule.
  ASSERT_EQ(adviser_->asked.size(), 1U);
  EXPECT_EQ(adviser_->asked[0].request_id, receipt.id);
  EXPECT_EQ(adviser_->asked[0].draft, "Perhaps green.");
  ASSERT_EQ(adviser_->asked[0].conversation.size(), 1U);
  EXPECT_THAT(adviser_->asked[0].rule, StartsWith("auto: confidence 0.05 is below 0.50"));

  // The final prompt continues the first one: same head, then the draft, then the advice.
  const std::size_t question_at = final_prompt.find("What colour is the sky?");
  const std::size_t draft_at = final_prompt.find("Perhaps green.");
  const std::size_t advice_at = final_prompt.find("It is blue.");
  ASSERT_NE(advice_at, std::string::npos);
  EXPECT_LT(question_at, draft_at);
  EXPECT_LT(draft_at, advice_at);
  EXPECT_EQ(hub_->stats().advised, 1U);
}

TEST_F(ConductorTest, ASureDraftIsNotAdvisedButAlwaysAsksInAnyCase) {
  start_advised(say_sure, kGoodAdvice);
  EXPECT_EQ(answered(question())->receipt()->advice, AdviceOutcome::kNotNeeded);
  EXPECT_EQ(adviser_->n_asked(), 0U);
  ChatRequest request = question();
  request.advice = AdviceMode::kAlways;
  EXPECT_EQ(answered(request)->receipt()->advice, AdviceOutcome::kAdvised);
  EXPECT_EQ(adviser_->asked[0].rule, "always: the request asks for advice");
}

TEST_F(ConductorTest, NothingLeavesUnlessTheRequestMay) {
  start_advised(say_shaky_then_advised, kGoodAdvice);
  ChatRequest never = question();
  never.advice = AdviceMode::kNever;
  ChatRequest local_always = question("local");
  local_always.advice = AdviceMode::kAlways;
  ChatRequest completion{.prompt = "Once upon"};
  ChatRequest two = question();
  two.n = 2;
  for (const ChatRequest& request :
       {never, question("local"), local_always, question("tiny"), completion, two}) {
    const auto sink = answered(request);
    ASSERT_TRUE(sink->receipt());
    EXPECT_EQ(sink->receipt()->advice, AdviceOutcome::kNotAllowed) << request.model;
    EXPECT_EQ(sink->receipt()->bytes_out, 0U);
    EXPECT_EQ(sink->text(), "Perhaps green.");
  }
  EXPECT_EQ(adviser_->n_asked(), 0U);
  // A request may allow it for a model that it names.
  ChatRequest named = question("tiny");
  named.advice = AdviceMode::kAuto;
  EXPECT_EQ(answered(named)->receipt()->advice, AdviceOutcome::kAdvised);
}

struct FailureRow {
  advisor::AdviceStatus status;
  AdviceOutcome outcome;
};

TEST_F(ConductorTest, WhateverTheAdviserDoesTheLocalAnswerIsGiven) {
  start_advised(say_shaky_then_advised, std::nullopt);
  for (const FailureRow& row :
       {FailureRow{advisor::AdviceStatus::kFailed, AdviceOutcome::kFailed},
        FailureRow{advisor::AdviceStatus::kOverBudget, AdviceOutcome::kOverBudget},
        FailureRow{advisor::AdviceStatus::kUnknownPrice, AdviceOutcome::kUnknownPrice}}) {
    adviser_->answer = advisor::Advice{
        .status = row.status, .detail = "the reason.", .bytes_out = 9, .cost_usd_micro = 3};
    const auto sink = answered(question());
    EXPECT_EQ(sink->text(), "Perhaps green.");
    EXPECT_EQ(sink->receipt()->advice, row.outcome);
    EXPECT_EQ(sink->receipt()->advice_detail, "the reason.");
    EXPECT_EQ(sink->receipt()->bytes_out, 9U);
    EXPECT_EQ(sink->receipt()->cost_usd_micro, 3);
  }
}

TEST_F(ConductorTest, ASecondModelThatAnswersOtherwiseIsAReasonToAsk) {
  for (const char* second : {"It is green.", "Sky: blue it is, I say."}) {
    source_ = std::make_unique<FakeSource>();
    source_->add("tiny", std::make_shared<FakeModel>(), "config", 2000);
    source_->add("other", std::make_shared<FakeModel>());
    start([second](FakeJob& job) {
      const bool is_second = !job.request.may_keep;
      const bool is_final = job.prompt_text().find("Advice:") != std::string::npos;
      job.say(is_second ? second : is_final ? "Final." : "The sky: it is blue.", kSureLogprob);
      job.end();
    }, true, {.second_model = "other"});
    adviser_->answer = kGoodAdvice;
    const auto sink = answered(question());
    const Receipt receipt = *sink->receipt();
    const bool agrees = second[0] == 'S';
    EXPECT_EQ(receipt.second_model, "other");
    EXPECT_EQ(receipt.second_agrees, agrees);
    EXPECT_EQ(adviser_->n_asked(), agrees ? 0U : 1U);
    EXPECT_EQ(sink->text(), agrees ? "The sky: it is blue." : "Final.");
    if (!agrees) {
      EXPECT_THAT(receipt.advice_rule, HasSubstr("'other' answers otherwise"));
    }
    EXPECT_EQ(answered(question("tiny"))->receipt()->second_model, "") << "no advice, no second opinion";
    hub_.reset();
  }
}

// Says `words` as 40 unsure tokens and " blue." and ends, once it may.
FakeEngine::Script unsure_for_long(std::atomic<int>& n_ended, bool waits_for_cancel = false) {
  return [&n_ended, waits_for_cancel](FakeJob& job) {
    if (job.prompt_text().find("Advice:") != std::string::npos) {
      job.say("Final answer.", kSureLogprob);
      return job.end();
    }
    for (int i = 0; i < 40; ++i) job.say(i == 0 ? "It is" : "  ", kShakyLogprob);
    if (waits_for_cancel) job.wait_for_cancel();
    job.say(" blue.", kShakyLogprob);
    job.end();
    ++n_ended;
  };
}

void wait_for(const std::atomic<int>& number, int value) {
  for (int i = 0; i < 20'000 && number < value; ++i) std::this_thread::sleep_for(milliseconds(1));
}

TEST_F(ConductorTest, ADraftThatGoesOnStandsIfTheAdviceSaysTheSame) {
  std::atomic<int> n_ended = 0;
  start(unsure_for_long(n_ended), true, {.asks_early = true});
  const auto sink = ask(question());
  wait_until_asked();
  wait_for(n_ended, 1);
  EXPECT_EQ(adviser_->asked.at(0).draft.find("blue"), std::string::npos) << "asked before the draft's end";
  adviser_->give(kGoodAdvice);
  ASSERT_TRUE(sink->wait());
  EXPECT_THAT(sink->text(), HasSubstr(" blue."));
  EXPECT_EQ(engine_->n_submitted, 1U);
  EXPECT_EQ(sink->receipt()->advice, AdviceOutcome::kAdvised);
  EXPECT_THAT(sink->receipt()->advice_detail, HasSubstr("its answer stands"));
  EXPECT_THAT(sink->receipt()->advice_rule, HasSubstr("asked early"));
  EXPECT_EQ(sink->receipt()->cost_usd_micro, 42);
}

TEST_F(ConductorTest, ADraftThatGoesOnIsDroppedIfTheAdviceContradicts) {
  for (const bool is_running : {false, true}) {
    source_ = std::make_unique<FakeSource>();
    std::atomic<int> n_ended = 0;
    start(unsure_for_long(n_ended, is_running), true, {.asks_early = true});
    const auto sink = ask(question());
    wait_until_asked();
    if (!is_running) wait_for(n_ended, 1);
    advisor::Advice other = kGoodAdvice;
    other.text = "Quite green, I would say.";
    adviser_->give(other);
    ASSERT_TRUE(sink->wait());
    EXPECT_EQ(sink->text(), "Final answer.");
    EXPECT_EQ(engine_->n_submitted, 2U);
    EXPECT_EQ(sink->receipt()->advice, AdviceOutcome::kAdvised);
    hub_.reset();
  }
}

TEST_F(ConductorTest, ADraftThatGoesOnIsShownOnceAdviceHasFailed) {
  for (const bool is_running : {false, true}) {
    source_ = std::make_unique<FakeSource>();
    std::atomic<int> n_ended = 0;
    std::atomic<bool> may_end = !is_running;
    start([&](FakeJob& job) {
      for (int i = 0; i < 40; ++i) job.say(i == 0 ? "It is" : "  ", kShakyLogprob);
      while (!may_end) std::this_thread::sleep_for(milliseconds(1));
      job.say(" blue.", kShakyLogprob);
      job.end();
      ++n_ended;
    }, true, {.asks_early = true});
    const auto sink = ask(question());
    wait_until_asked();
    if (!is_running) wait_for(n_ended, 1);
    adviser_->give({.status = advisor::AdviceStatus::kFailed, .detail = "it is down"});
    if (is_running) {
      EXPECT_TRUE(sink->wait_for_text("It is")) << "before its end";
    }
    may_end = true;
    ASSERT_TRUE(sink->wait());
    EXPECT_THAT(sink->text(), HasSubstr(" blue."));
    EXPECT_EQ(sink->receipt()->advice, AdviceOutcome::kFailed);
    EXPECT_EQ(sink->receipt()->advice_detail, "it is down");
    EXPECT_EQ(sink->n_choice_ends(), 1);
    hub_.reset();
  }
}

TEST_F(ConductorTest, ADraftThatFailsMeanwhileIsAnErrorUnlessAdviceHelps) {
  for (const bool helps : {false, true}) {
    source_ = std::make_unique<FakeSource>();
    std::atomic<int> n_ended = 0;
    start([&](FakeJob& job) {
      if (job.prompt_text().find("Advice:") != std::string::npos) return say_sure(job);
      for (int i = 0; i < 40; ++i) job.say(i == 0 ? "It is" : "  ", kShakyLogprob);
      job.end({.reason = engine::FinishReason::kError, .error = {Code::kInternal, "lost"}});
      ++n_ended;
    }, true, {.asks_early = true});
    const auto sink = ask(question());
    wait_until_asked();
    wait_for(n_ended, 1);
    adviser_->give(helps ? kGoodAdvice : advisor::Advice{.status = advisor::AdviceStatus::kFailed, .detail = "it is down"});
    ASSERT_TRUE(sink->wait());
    if (helps) {
      EXPECT_EQ(sink->text(), "The sky is blue.");
    } else {
      ASSERT_TRUE(sink->error());
      EXPECT_EQ(sink->error()->message, "lost");
    }
    hub_.reset();
  }
}

TEST_F(ConductorTest, HalfASecondOpinionIsNone) {
  source_->add("tiny", std::make_shared<FakeModel>(), "config", 2000);
  source_->add("other", std::make_shared<FakeModel>());
  start([](FakeJob& job) {
    if (job.request.may_keep) return say_sure(job);
    job.say("It is green", kSureLogprob);
    job.end({.reason = engine::FinishReason::kError, .error = {Code::kInternal, "lost"}});
  }, true, {.second_model = "other"});
  const auto sink = answered(question());
  EXPECT_EQ(sink->text(), "The sky is blue.");
  EXPECT_EQ(sink->receipt()->second_model, "");
  EXPECT_EQ(sink->receipt()->advice, AdviceOutcome::kNotNeeded);
}

TEST_F(ConductorTest, LeavingWhileADraftGoesOnEndsBoth) {
  std::atomic<int> n_ended = 0;
  start(unsure_for_long(n_ended, true), true, {.asks_early = true});
  const auto sink = ask(question());
  wait_until_asked();
  hub_->cancel(last_id_);
  ASSERT_TRUE(sink->wait());
  EXPECT_EQ(sink->error()->code, Code::kCancelled);
  wait_for(n_ended, 1);
  EXPECT_EQ(n_ended, 1);
}

TEST_F(ConductorTest, WithoutItsSecondModelTheDraftIsJudgedAlone) {
  source_->add("tiny", std::make_shared<FakeModel>(), "config", 2000);
  source_->add("other", nullptr);  // Fails to load.
  start(say_sure, true, {.second_model = "other"});
  EXPECT_EQ(answered(question())->receipt()->advice, AdviceOutcome::kNotNeeded);
  EXPECT_EQ(answered(question())->receipt()->second_model, "");
}

TEST_F(ConductorTest, AQuestionForWhichNobodyIsReachedIsKeptForLater) {
  start(say_shaky_then_advised, true, {.defers = true});
  advisor::Advice unreachable{.status = advisor::AdviceStatus::kFailed, .detail = "it can't be reached", .is_unreachable = true};
  adviser_->answer = unreachable;
  const auto sink = answered(question());
  EXPECT_EQ(sink->text(), "Perhaps green.");
  EXPECT_EQ(sink->receipt()->advice, AdviceOutcome::kFailed);
  EXPECT_THAT(sink->receipt()->advice_detail, HasSubstr("hearth advisor deferred ask"));
  answered(question());  // The same again waits once.
  ChatRequest unstored = question();
  unstored.messages[0].content = "A secret of mine?";
  unstored.may_store = false;
  EXPECT_THAT(answered(unstored)->receipt()->advice_detail, Not(HasSubstr("deferred")));
  unreachable.is_unreachable = false;
  adviser_->answer = unreachable;
  EXPECT_THAT(answered(question())->receipt()->advice_detail, Not(HasSubstr("deferred")));
  for (int i = 0; i < 20'000 && store_->deferred()->empty(); ++i) std::this_thread::sleep_for(milliseconds(1));
  const auto deferred = *store_->deferred();
  ASSERT_EQ(deferred.size(), 1U);
  EXPECT_EQ(deferred[0].draft, "Perhaps green.");
  EXPECT_EQ(deferred[0].model, sink->receipt()->model);
  EXPECT_THAT(deferred[0].request, HasSubstr("What colour is the sky?"));
}

TEST_F(ConductorTest, WhatWasAskedEarlyIsKeptForLaterWithTheWholeDraft) {
  std::atomic<bool> may_end = false;
  start([&](FakeJob& job) {
    for (int i = 0; i < 40; ++i) job.say(i == 0 ? "It is" : "  ", kShakyLogprob);
    while (!may_end) std::this_thread::sleep_for(milliseconds(1));
    job.say(" blue.", kShakyLogprob);
    job.end();
  }, true, {.asks_early = true, .defers = true});
  const auto sink = ask(question());
  wait_until_asked();
  adviser_->give({.status = advisor::AdviceStatus::kFailed, .detail = "it can't be reached", .is_unreachable = true});
  EXPECT_TRUE(sink->wait_for_text("It is")) << "before its end";
  may_end = true;
  ASSERT_TRUE(sink->wait());
  EXPECT_THAT(sink->receipt()->advice_detail, HasSubstr("hearth advisor deferred ask"));
  for (int i = 0; i < 20'000 && store_->deferred()->empty(); ++i) std::this_thread::sleep_for(milliseconds(1));
  ASSERT_EQ(store_->deferred()->size(), 1U);
  EXPECT_THAT(store_->deferred()->front().draft, HasSubstr(" blue."));
}

TEST_F(ConductorTest, AModelThatRelaysPassesTheAdviceOn) {
  source_->add("ember", std::make_shared<FakeModel>(true, true), "embedded");
  start_advised(end_unsure, kGoodAdvice);
  const auto sink = answered(question());
  EXPECT_THAT(sink->text(), HasSubstr("It is blue."));
  EXPECT_TRUE(sink->receipt()->advice_relayed);
  EXPECT_EQ(sink->receipt()->advice, AdviceOutcome::kAdvised);
  EXPECT_EQ(sink->receipt()->confidence, 0.0F);
  EXPECT_EQ(sink->n_choice_ends(), 1);
}

// Answers under a grammar are its own: no words of the hub's or the adviser's come between.
TEST_F(ConductorTest, AFormatHoldsForTheFinalAnswer) {
  struct Row {
    bool relays;
    bool final_fails;
    std::string advice;
    std::string answer;
    bool relayed;
    AdviceOutcome outcome;
  };
  const Row rows[] = {
      {false, false, "Say no.", "no", false, AdviceOutcome::kAdvised},
      {true, false, "Say no.", "no", false, AdviceOutcome::kAdvised},  // Relaying would break the format,
      {true, false, "no", "no", true, AdviceOutcome::kAdvised},        // unless the advice has it.
      {false, true, "Say no.", "yes", false, AdviceOutcome::kFailed},  // The draft has it.
      {false, true, "no", "no", true, AdviceOutcome::kAdvised},
  };
  for (const Row& row : rows) {
    hub_.reset();
    source_ = std::make_unique<FakeSource>();
    source_->add("tiny", std::make_shared<FakeModel>(false, row.relays));
    start_advised(
        [&](FakeJob& job) {
          EXPECT_NE(job.request.constraint, nullptr);
          const bool is_final = job.prompt_text().find("Advice:") != std::string::npos;
          if (is_final && row.final_fails) {
            return job.end({.reason = engine::FinishReason::kError, .error = {Code::kInternal, "lost"}});
          }
          job.say(is_final ? "no" : "yes", kShakyLogprob);
          job.end();
        },
        advisor::Advice{.status = advisor::AdviceStatus::kAnswered, .text = row.advice});
    ChatRequest request = question();
    request.grammar = text::grammar::compile_regex("yes|no").value();
    const auto sink = answered(std::move(request));
    EXPECT_EQ(sink->text(), row.answer) << row.advice << row.relays << row.final_fails;
    EXPECT_EQ(sink->receipt()->advice_relayed, row.relayed);
    EXPECT_EQ(sink->receipt()->advice, row.outcome);
    EXPECT_EQ(sink->receipt()->end, "stop");
  }
}

TEST_F(ConductorTest, AnUnsureModelThatCanReworkGetsAnEmptyDraftFilledIn) {
  source_->add("sage", std::make_shared<FakeModel>(true, false));
  std::string final_prompt;
  start_advised(
      [&](FakeJob& job) {
        if (job.prompt_text().find("Advice:") == std::string::npos) return end_unsure(job);
        final_prompt = job.prompt_text();
        job.say("Done.");
        job.end();
      },
      kGoodAdvice);
  EXPECT_EQ(answered(question())->text(), "Done.");
  EXPECT_THAT(final_prompt, HasSubstr(std::string(notice(Notice::kDraftWasUnsure))));
}

TEST_F(ConductorTest, AnUnsureModelWithoutAnAdviserSaysSoPlainly) {
  source_->add("ember", std::make_shared<FakeModel>(true, true), "embedded");
  start(end_unsure);
  const auto sink = answered(question());
  EXPECT_EQ(sink->text(), notice(Notice::kUnsureNotConfigured));
  EXPECT_EQ(sink->receipt()->advice, AdviceOutcome::kNotConfigured);
  EXPECT_EQ(answered(question("local"))->text(), notice(Notice::kUnsureNotAllowed));
}

TEST_F(ConductorTest, AnUnsureModelWhoseAdviserFailsSaysWhy) {
  source_->add("ember", std::make_shared<FakeModel>(true, true), "embedded");
  start_advised(end_unsure, advisor::Advice{.detail = "it is out of quota."});
  EXPECT_THAT(answered(question())->text(), HasSubstr("it is out of quota."));
}

TEST_F(ConductorTest, AdviceThatDoesNotFitTheContextIsRelayed) {
  start_advised(say_shaky_then_advised, kGoodAdvice);
  engine_->refuse_from = 1;
  const auto sink = answered(question());
  EXPECT_THAT(sink->text(), HasSubstr("It is blue."));
  EXPECT_TRUE(sink->receipt()->advice_relayed);
}

TEST_F(ConductorTest, AnErrorInTheFinishingTurnRelaysIfNothingIsShownYet) {
  start_advised(
      [](FakeJob& job) {
        if (job.prompt_text().find("Advice:") == std::string::npos)
          return say_shaky_then_advised(job);
        job.end({.reason = engine::FinishReason::kError, .error = {Code::kInternal, "boom"}});
      },
      kGoodAdvice);
  EXPECT_TRUE(answered(question())->receipt()->advice_relayed);
}

TEST_F(ConductorTest, EachChoiceIsAJobWithASeedOfItsOwn) {
  start([](FakeJob& job) {
    job.say(std::to_string(job.request.sampling.seed));
    job.end();
  });
  ChatRequest request = question();
  request.n = 4;
  request.sampling.seed = 7;
  const auto sink = answered(request);
  std::set<std::string> texts;
  for (std::uint32_t choice = 0; choice < 4; ++choice) {
    texts.insert(sink->text(choice));
    EXPECT_EQ(sink->n_choice_ends(choice), 1);
  }
  EXPECT_EQ(texts.size(), 4U);
  EXPECT_EQ(sink->text(0), "7");
  EXPECT_EQ(sink->receipt()->usage.completion_tokens, 4U);
  const auto again = answered(request);
  EXPECT_EQ(again->text(3), sink->text(3)) << "the same seed, the same text";
}

TEST_F(ConductorTest, RefusesWhatCantBeAnswered) {
  start(say_sure, false, {.requests_max = 1});
  const auto refused = [&](ChatRequest request) {
    const auto id = hub_->chat(std::move(request), std::make_shared<CollectingSink>());
    return id ? Code::kInternal : id.error().code;
  };
  EXPECT_EQ(refused({.model = "auto"}), Code::kInvalidArgument);
  EXPECT_EQ(refused(question("nosuch")), Code::kNotFound);
  ChatRequest many = question();
  many.n = kChoicesMax + 1;
  EXPECT_EQ(refused(many), Code::kInvalidArgument);
  many.n = 0;
  EXPECT_EQ(refused(many), Code::kInvalidArgument);
  ChatRequest hot = question();
  hot.sampling.temperature = -1;
  EXPECT_EQ(refused(hot), Code::kInvalidArgument);
}

TEST_F(ConductorTest, AtMostSoManyRequestsAtOnce) {
  start(
      [](FakeJob& job) {
        job.wait_for_cancel();
        job.end();
      },
      false, {.requests_max = 2});
  const auto first = ask(question()), second = ask(question());
  const auto third = hub_->chat(question(), std::make_shared<CollectingSink>());
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, Code::kUnavailable);
  hub_->cancel(last_id_);
  ASSERT_TRUE(second->wait());
  EXPECT_TRUE(hub_->chat(question(), std::make_shared<CollectingSink>()));
}

TEST_F(ConductorTest, EngineErrorsReachTheSink) {
  start([](FakeJob& job) {
    job.end({.reason = engine::FinishReason::kError, .error = {Code::kOutOfBudget, "no pages"}});
  });
  const auto sink = answered(question());
  ASSERT_TRUE(sink->error());
  EXPECT_EQ(sink->error()->code, Code::kOutOfBudget);
  engine_->refuse_from = 0;
  EXPECT_EQ(answered(question())->error()->message, "the prompt does not fit");
}

TEST_F(ConductorTest, AFailedLoadLeavesOthersServing) {
  source_->add("broken", nullptr);
  source_->add("good", std::make_shared<FakeModel>());
  start(say_sure);
  EXPECT_EQ(answered(question("broken"))->error()->code, Code::kCorrupt);
  EXPECT_TRUE(answered(question("good"))->receipt());
}

TEST_F(ConductorTest, AutoPrefersAUsersModelAndFallsBackWhenItDoesNotLoad) {
  source_->add("ember", std::make_shared<FakeModel>(), "embedded", 10);
  source_->add("big", nullptr, "ollama", 5000);
  source_->add("medium", std::make_shared<FakeModel>(), "ollama", 900);
  source_->add("huge", std::make_shared<FakeModel>(), "ollama", kAutoModelBytesMax + 1);
  start(say_sure);
  EXPECT_EQ(answered(question())->receipt()->model, "medium");
  const int n_loads = source_view_->n_loads;
  EXPECT_EQ(answered(question())->receipt()->model, "medium");
  EXPECT_EQ(source_view_->n_loads, n_loads) << "the broken one must not be tried each time";
}

TEST_F(ConductorTest, ALoadedModelDoesNotWaitForAnothersLoad) {
  std::atomic<bool> is_blocked = false;
  source_->add("fast", std::make_shared<FakeModel>());
  source_->add("slow", std::make_shared<FakeModel>());
  source_->block_loading = &is_blocked;
  start(say_sure);
  ASSERT_TRUE(answered(question("fast"))->receipt());
  is_blocked = true;
  const auto slow = ask(question("slow"));
  EXPECT_TRUE(answered(question("fast"))->receipt());
  EXPECT_EQ(slow->n_last_calls(), 0);
  is_blocked = false;
  EXPECT_TRUE(slow->wait());
}

TEST_F(ConductorTest, CancelWhileLoading) {
  std::atomic<bool> is_blocked = true;
  source_->add("slow", std::make_shared<FakeModel>());
  source_->block_loading = &is_blocked;
  start(say_sure);
  const auto sink = ask(question());
  hub_->cancel(last_id_);
  ASSERT_TRUE(sink->wait());
  EXPECT_EQ(sink->error()->code, Code::kCancelled);
  is_blocked = false;
  hub_.reset();  // Its loader still looks at is_blocked.
}

TEST_F(ConductorTest, CancelWhileDraftingStopsTheJobAndLeavesAReceipt) {
  std::atomic<bool> was_cancelled = false;
  start([&](FakeJob& job) {
    job.say("some");
    job.wait_for_cancel();
    was_cancelled = true;
    job.end();
  });
  const auto sink = ask(question());
  ASSERT_TRUE(sink->wait_for_text("some"));
  hub_->cancel(last_id_);
  ASSERT_TRUE(sink->wait());
  EXPECT_EQ(sink->error()->code, Code::kCancelled);
  hub_->cancel(last_id_);  // No effect.
  const auto receipts = ledger_->receipts({});
  ASSERT_EQ(receipts->size(), 1U);
  EXPECT_EQ(receipt_from_json(receipts->front().json)->end, "cancelled");
  hub_.reset();
  EXPECT_TRUE(was_cancelled);
  EXPECT_EQ(sink->n_last_calls(), 1);
}

TEST_F(ConductorTest, CancelWhileAdvisingKeepsTheCostInTheReceipt) {
  start_advised(say_shaky_then_advised, std::nullopt);
  const auto sink = ask(question());
  ASSERT_TRUE(sink->wait_for_status());
  hub_->cancel(last_id_);
  ASSERT_TRUE(sink->wait());
  EXPECT_EQ(sink->error()->code, Code::kCancelled);
  const auto row = ledger_->receipts({})->front();
  EXPECT_EQ(row.bytes_out, 77);
  EXPECT_EQ(row.cost_usd_micro, 5);
}

TEST_F(ConductorTest, CancelWhileFinishing) {
  start_advised(
      [](FakeJob& job) {
        if (job.prompt_text().find("Advice:") == std::string::npos)
          return say_shaky_then_advised(job);
        job.say("begun");
        job.wait_for_cancel();
        job.end();
      },
      kGoodAdvice);
  const auto sink = ask(question());
  ASSERT_TRUE(sink->wait_for_text("begun"));
  hub_->cancel(last_id_);
  ASSERT_TRUE(sink->wait());
  EXPECT_EQ(sink->error()->code, Code::kCancelled);
}

TEST_F(ConductorTest, ShutdownLetsFinishWhatIsQuickAndCancelsTheRest) {
  std::atomic<bool> go_on = false;
  start([&](FakeJob& job) {
    if (job.prompt_text().find("quick") != std::string::npos) {
      while (!go_on && !job.is_cancelled()) std::this_thread::sleep_for(milliseconds(1));
      job.say("done");
    } else {
      job.wait_for_cancel();
    }
    job.end();
  });
  const auto slow = ask(question());
  ChatRequest request = question();
  request.messages[0].content = "quick";
  const auto quick = ask(request);
  std::jthread later([&] {
    std::this_thread::sleep_for(milliseconds(20));
    go_on = true;
  });
  hub_->shutdown(milliseconds(1'000));
  EXPECT_EQ(quick->text(), "done");
  EXPECT_TRUE(quick->receipt());
  EXPECT_EQ(slow->error()->code, Code::kCancelled);
  EXPECT_EQ(hub_->chat(question(), quick).error().code, Code::kUnavailable);
}

TEST_F(ConductorTest, DestructionGivesEverySinkItsLastCall) {
  start([](FakeJob& job) {
    job.say("x");
    job.wait_for_cancel();
    job.end();
  });
  std::vector<std::shared_ptr<CollectingSink>> sinks;
  for (int i = 0; i < 20; ++i) sinks.push_back(ask(question()));
  hub_.reset();
  for (const auto& sink : sinks) EXPECT_EQ(sink->n_last_calls(), 1);
}

TEST_F(ConductorTest, RandomCancelsLeaveEverySinkWithOneLastCall) {
  start_advised(say_shaky_then_advised, kGoodAdvice);
  std::vector<std::shared_ptr<CollectingSink>> sinks;
  std::mt19937 random(11);
  for (int i = 0; i < 200; ++i) {
    sinks.push_back(ask(question()));
    const RequestId id = last_id_;
    if (random() % 2 == 0) {
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
      hub_->cancel(id);
    }
  }
  for (const auto& sink : sinks) ASSERT_TRUE(sink->wait());
  hub_.reset();
  for (const auto& sink : sinks) EXPECT_EQ(sink->n_last_calls(), 1);
}

TEST_F(ConductorTest, ListsModelsWithWhatIsLoaded) {
  source_->add("a", std::make_shared<FakeModel>());
  source_->add("b", std::make_shared<FakeModel>());
  start(say_sure);
  answered(question("b"));
  const auto models = hub_->models();
  ASSERT_EQ(models.size(), 2U);
  EXPECT_FALSE(models[0].loaded);
  EXPECT_TRUE(models[1].loaded);
}

TEST_F(ConductorTest, AdaptersReachTheEngineAndTheReceipt) {
  source_->add("base", std::make_shared<FakeModel>());
  source_->add_adapter("a");
  source_->add_adapter("b");
  std::mutex mutex;
  std::vector<std::string> seen;
  FakeSource* const source = source_.get();
  start([&](FakeJob& job) {
    std::string text;
    for (const auto& choice : job.request.adapters) {
      text += fmt::format("{}*{} ", choice.adapter->name(), choice.weight);
    }
    {
      const std::lock_guard lock(mutex);
      seen.push_back(text);
    }
    say_sure(job);
  });
  EXPECT_EQ(answered(question("base"))->receipt()->adapter, "");
  EXPECT_EQ(answered(question("base@a"))->receipt()->adapter, "a");
  EXPECT_EQ(answered(question("base@a:0.5+b"))->receipt()->adapter, "a:0.5+b");
  ChatRequest listed = question("base@b");
  listed.adapters = {{"a", 0.25F}};
  const auto sink = answered(listed);
  EXPECT_EQ(sink->receipt()->model, "base");
  EXPECT_EQ(sink->receipt()->adapter, "b+a:0.25");
  EXPECT_EQ(seen, (std::vector<std::string>{"", "a*1 ", "a*0.5 b*1 ", "b*1 a*0.25 "}));
  EXPECT_EQ(source->n_adapter_loads, 2) << "resident adapters are not loaded again";
  EXPECT_EQ(source->n_loads, 1);

  const auto refused = hub_->chat(question("base@nobody"), std::make_shared<CollectingSink>());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("there are a, b"));
  EXPECT_FALSE(hub_->chat(question("base@a:99"), std::make_shared<CollectingSink>()));
}

TEST_F(ConductorTest, HealthNoticesAnEngineThatDoesNotMove) {
  start(say_sure);
  EXPECT_TRUE(hub_->health());
  answered(question());
  EXPECT_TRUE(hub_->health());
}

TEST(AdvicePolicy, EmptyRulesAskNobody) {
  EXPECT_FALSE(may_ask({}));
  EXPECT_FALSE(decide_advice({}, {.confidence = 0}).ask);
}

TEST(AdvicePolicy, TheThresholdItselfIsSureEnough) {
  const AdviceRules rules{.mode = AdviceMode::kAuto, .is_configured = true, .threshold = 0.5};
  EXPECT_FALSE(decide_advice(rules, {.confidence = 0.5, .p_wrong = 0.5}).ask);
  EXPECT_TRUE(decide_advice(rules, {.confidence = 0.4999, .p_wrong = 0.5}).ask);
  AdviceRules always = rules;
  always.mode = AdviceMode::kAlways;
  EXPECT_TRUE(decide_advice(always, {.confidence = 1}).ask);
}

TEST(ReceiptJson, RefusesWhatIsNone) {
  EXPECT_FALSE(receipt_from_json("[]"));
  EXPECT_FALSE(receipt_from_json("{\"id\":7}"));
  EXPECT_FALSE(receipt_from_json("{\"usage\":3}"));
  EXPECT_TRUE(receipt_from_json("{}"));
}

}  // namespace
}  // namespace hearth::hub
