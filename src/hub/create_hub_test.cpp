// The whole hub on a real engine with real weights: a small random model that this test
// writes itself, and the trained story model where it is at hand.
#include "hub/create_hub.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <random>

#include "base/file.h"
#include "base/temp_folder_for_test.h"
#include "hub/fakes_for_test.h"
#include "hub/receipt_json.h"
#include "ledger/verify.h"
#include "model/random_adapter.h"
#include "model/random_model.h"
#include "net/loopback_server.h"

namespace hearth::hub {
namespace {

namespace fs = std::filesystem;

using net::LoopbackConnection;
using net::LoopbackServer;
using ::testing::HasSubstr;

class CreateHubTest : public ::testing::Test {
 protected:
  CreateHubTest() {
    std::filesystem::create_directories(folder_ / "models");
    options_.catalogue.folders = {folder_ / "models"};
    options_.catalogue.scan_other_programs = false;
    options_.engine.n_threads = 2;
    options_.engine.kv_bytes_max = std::uint64_t{32} << 20;
    options_.ledger_path = folder_ / "ledger.db";
  }
  ~CreateHubTest() override {
    hub_.reset();
  }

  void add_random_model(const std::string& name, std::uint64_t seed = 1) {
    const auto written = model::write_random_model(
        folder_ / "models" / (name + ".gguf"),
        {.type = "Q8_0", .n_layers = 2, .d_model = 64, .d_ff = 128, .n_heads = 4, .n_kv_heads = 2,
         .head_dim = 16, .n_vocab = 512, .n_context = 2048, .seed = seed});
    ASSERT_TRUE(written) << written.error().message;
  }
  void start() {
    auto hub = create_hub(options_);
    ASSERT_TRUE(hub) << hub.error().message;
    hub_ = std::move(*hub);
  }
  std::shared_ptr<CollectingSink> ask(ChatRequest request) {
    auto sink = std::make_shared<CollectingSink>();
    const auto id = hub_->chat(std::move(request), sink);
    EXPECT_TRUE(id) << (id ? "" : id.error().message);
    EXPECT_TRUE(sink->wait());
    EXPECT_FALSE(sink->error()) << sink->error()->message;
    return sink;
  }
  static ChatRequest question(std::uint32_t max_tokens = 16) {
    ChatRequest request{.messages = {{.content = "Say something."}}, .max_tokens = max_tokens};
    request.sampling.temperature = 0;
    return request;
  }

  TempFolder folder_;
  HubOptions options_;
  std::unique_ptr<Hub> hub_;
};

TEST_F(CreateHubTest, AnswersOnARealEngine) {
  add_random_model("random");
  start();
  const auto sink = ask(question());
  const Receipt receipt = *sink->receipt();
  EXPECT_EQ(receipt.model, "random");
  EXPECT_EQ(receipt.end, "length");
  EXPECT_EQ(receipt.usage.completion_tokens, 16U);
  EXPECT_GT(receipt.usage.prompt_tokens, 5U);
  EXPECT_GT(receipt.tokens_per_second, 0);
  EXPECT_EQ(receipt.bytes_out, 0U);
  EXPECT_EQ(sink->reason(), engine::FinishReason::kLength);
  EXPECT_EQ(ask(question())->text(), sink->text()) << "greedy text repeats";
  EXPECT_TRUE(hub_->health());
}

TEST_F(CreateHubTest, PathsAndNamesFindModels) {
  add_random_model("one", 1);
  add_random_model("two", 2);
  start();
  ChatRequest request = question();
  request.model = "two";
  EXPECT_EQ(ask(request)->receipt()->model, "two");
  request.model = (folder_ / "models" / "one.gguf").string();
  EXPECT_EQ(ask(request)->receipt()->model, "one");
  const auto missing = hub_->chat({.model = "three", .messages = {{.content = "x"}}},
                                  std::make_shared<CollectingSink>());
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::kNotFound);
  EXPECT_THAT(missing.error().message, HasSubstr("two"));
}

TEST_F(CreateHubTest, AdaptersOfABaseAnswerEachTheirOwnWay) {
  add_random_model("base");
  const fs::path models = folder_ / "models";
  const auto base = model::Model::load(models / "base.gguf");
  ASSERT_TRUE(base);
  for (const std::uint64_t seed : {1U, 2U}) {
    ASSERT_TRUE(model::write_random_adapter(models / fmt::format("poet-{}.gguf", seed), **base,
                                            {.rank = 8, .spread = 0.2F, .seed = seed}));
  }
  const auto wide = folder_ / "wide.gguf";
  ASSERT_TRUE(model::write_random_model(wide, {.type = "Q8_0", .n_layers = 1, .d_model = 128,
                                               .d_ff = 128, .n_heads = 4, .n_kv_heads = 2,
                                               .head_dim = 32, .n_vocab = 512}));
  ASSERT_TRUE(model::write_random_adapter(models / "other.gguf", **model::Model::load(wide), {}));
  start();
  std::vector<std::string> names;
  for (const ModelEntry& entry : hub_->models()) names.push_back(entry.name);
  EXPECT_EQ(names, (std::vector<std::string>{"base", "base@poet-1", "base@poet-2"}));

  const auto text_of = [&](const std::string& name) {
    ChatRequest request = question();
    request.model = name;
    return ask(request)->text();
  };
  const std::string plain = text_of("base"), first = text_of("base@poet-1");
  EXPECT_NE(first, plain);
  EXPECT_NE(text_of("base@poet-2"), first);
  EXPECT_NE(text_of("base@poet-1:0.5"), first);
  EXPECT_EQ(text_of("base@poet-1+poet-2:0.5"), text_of("base@poet-2:0.5+poet-1"));
  EXPECT_EQ(text_of("base"), plain) << "what others cached is not the base's";
  EXPECT_EQ(text_of("base@poet-1"), first);
  EXPECT_EQ(text_of("auto@" + (models / "poet-1.gguf").string()), first);

  ChatRequest wrong = question();
  wrong.model = "base@other";
  const auto sink = std::make_shared<CollectingSink>();
  ASSERT_TRUE(hub_->chat(wrong, sink));
  ASSERT_TRUE(sink->wait());
  ASSERT_TRUE(sink->error());
  EXPECT_EQ(sink->error()->code, Code::kInvalidArgument);
  EXPECT_THAT(sink->error()->message, HasSubstr("another model"));
}

TEST_F(CreateHubTest, ConfigurationMistakesAreSaidAtTheStart) {
  add_random_model("random");
  options_.default_model = "nosuch";
  const auto hub = create_hub(options_);
  ASSERT_FALSE(hub);
  EXPECT_EQ(hub.error().code, Code::kNotFound);
  options_.default_model.clear();
  ASSERT_TRUE(write_file_atomic(options_.ledger_path, std::string(5000, 'x')));
  EXPECT_EQ(create_hub(options_).error().code, Code::kCorrupt);
}

TEST_F(CreateHubTest, ADraftModelLeavesTheAnswerAsItIs) {
  add_random_model("large", 1);
  add_random_model("small", 2);
  options_.default_model = "large";
  start();
  const std::string alone = ask(question(60))->text();
  hub_.reset();
  options_.drafts = {{"large", "small"}};
  start();
  EXPECT_EQ(ask(question(60))->text(), alone);
  options_.drafts = {{"large", "nosuch"}};
  EXPECT_EQ(create_hub(options_).error().code, Code::kNotFound);
}

TEST_F(CreateHubTest, ADraftModelOfAnotherVocabularyIsASentence) {
  add_random_model("large");
  ASSERT_TRUE(model::write_random_model(folder_ / "models" / "other.gguf",
                                        {.type = "Q8_0", .n_layers = 1, .d_model = 64, .d_ff = 128,
                                         .n_heads = 4, .n_kv_heads = 2, .head_dim = 16,
                                         .n_vocab = 2048, .n_context = 512}));
  options_.default_model = "large";
  options_.drafts = {{"large", "other"}};
  start();
  const auto sink = std::make_shared<CollectingSink>();
  ASSERT_TRUE(hub_->chat(question(), sink));
  ASSERT_TRUE(sink->wait());
  ASSERT_TRUE(sink->error());
  EXPECT_THAT(sink->error()->message, HasSubstr("2048 tokens and the other 512"));
}

TEST_F(CreateHubTest, NoModelAtAllIsASentence) {
  start();
  const auto id = hub_->chat(question(), std::make_shared<CollectingSink>());
  ASSERT_FALSE(id);
  EXPECT_THAT(id.error().message, HasSubstr("hearth models list"));
}

TEST_F(CreateHubTest, APromptLongerThanTheContextIsRefused) {
  add_random_model("random");
  start();
  ChatRequest request = question();
  request.messages[0].content = std::string(20'000, 'x');
  const auto sink = std::make_shared<CollectingSink>();
  ASSERT_TRUE(hub_->chat(request, sink));
  ASSERT_TRUE(sink->wait());
  ASSERT_TRUE(sink->error());
  EXPECT_EQ(sink->error()->code, Code::kInvalidArgument);
}

TEST_F(CreateHubTest, ManyAtOnceWithHalfLeavingEarlyLeakNoPages) {
  add_random_model("random");
  start();
  std::vector<std::shared_ptr<CollectingSink>> sinks;
  std::mt19937 random(3);
  for (int i = 0; i < 100; ++i) {
    sinks.push_back(std::make_shared<CollectingSink>());
    ChatRequest request = question(64);
    request.messages[0].content = fmt::format("Question {}", i);
    const auto id = hub_->chat(request, sinks.back());
    ASSERT_TRUE(id);
    if (i % 2 == 0) hub_->cancel(*id);
  }
  for (const auto& sink : sinks) {
    ASSERT_TRUE(sink->wait());
    EXPECT_EQ(sink->n_last_calls(), 1);
  }
  const auto stats = hub_->stats();
  EXPECT_EQ(stats.requests, 100U);
  EXPECT_EQ(stats.answered + stats.cancelled, 100U);
  // The last cancelled job frees its pages within a step; what stays belongs to the prefix cache.
  for (int i = 0; i < 2000 && hub_->stats().engine.jobs_running > 0; ++i) {
    std::this_thread::sleep_for(milliseconds(1));
  }
  EXPECT_EQ(hub_->stats().engine.jobs_running, 0U);
  EXPECT_EQ(hub_->stats().engine.kv_pages_used, hub_->stats().engine.kv_pages_cached);
}

TEST_F(CreateHubTest, AdviceEntersAsATurnAndTheEarlierTokensAreCached) {
  LoopbackServer server([](LoopbackConnection& peer) {
    peer.read_request();
    peer.respond(200, "{\"choices\":[{\"message\":{\"content\":\"Say hello.\"},"
                      "\"finish_reason\":\"stop\"}],"
                      "\"usage\":{\"prompt_tokens\":120,\"completion_tokens\":3}}");
  });
  add_random_model("random");
  options_.advisers = {advisor::AdviserOptions{
      .provider = "acme", .base_url = server.url("/v1"), .model = "wise-1",
      .prices = advisor::Prices{1'000'000, 2'000'000},
      .budget = {.day_usd_micro = 1'000'000, .request_usd_micro = 1'000'000}}};
  start();
  ChatRequest request = question();
  request.messages[0].content = std::string(300, 'q') + " and more of the question.";
  const auto sink = ask(request);
  const Receipt receipt = *sink->receipt();
  EXPECT_EQ(receipt.advice, AdviceOutcome::kAdvised) << receipt.advice_detail;
  EXPECT_FALSE(receipt.advice_relayed);
  EXPECT_EQ(receipt.usage.completion_tokens, 32U) << "16 of the draft, 16 of the answer";
  EXPECT_EQ(receipt.cost_usd_micro, 126);
  EXPECT_GT(receipt.bytes_out, 300U);
  // The second prompt repeats the first, up to a part of a page at its end.
  const engine::EngineStats stats = hub_->stats().engine;
  EXPECT_EQ(receipt.usage.cached_tokens, 0U);
  EXPECT_GE(stats.cached_tokens + 2 * model::kPageTokens, receipt.usage.prompt_tokens)
      << stats.prompt_tokens;
  hub_.reset();
  const auto ledger = ledger::Ledger::open(options_.ledger_path, ledger::Ledger::Mode::kReadOnly);
  const auto report = ledger::verify(**ledger);
  EXPECT_TRUE(report->problems.empty());
  EXPECT_EQ(report->calls, 1);
  EXPECT_EQ(report->open_calls, 0);
}

TEST_F(CreateHubTest, ATrainedModelMakesSentences) {
  const std::filesystem::path dreams =
      std::filesystem::path(HEARTH_SHARED_DIR) / "models" / "dreams-230k.gguf";
  if (!std::filesystem::exists(dreams)) GTEST_SKIP() << "there is no " << dreams;
  options_.default_model = dreams.string();
  options_.catalogue.folders = {dreams.parent_path()};
  start();
  ChatRequest request{.prompt = "\"Echoes", .max_tokens = 40};
  request.sampling.temperature = 0;
  const auto sink = ask(request);
  EXPECT_GE(std::ranges::count(sink->text(), ' '), 10) << sink->text();
}

}  // namespace
}  // namespace hearth::hub
