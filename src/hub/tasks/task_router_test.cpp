// Tasks: told apart from examples, abstained from where they are close, explained.
#include "hub/tasks/task_router.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "base/temp_folder_for_test.h"
#include "hub/conductor.h"
#include "hub/fakes_for_test.h"
#include "hub/tasks/model_tags.h"
#include "net/loopback_server.h"

namespace hearth::hub {
namespace {

using ::testing::HasSubstr;

const std::vector<std::string> kCode = {
    "Write a Python function that reverses a linked list.",
    "Why does this C++ code crash? int* p = nullptr; *p = 1;",
    "def add(a, b): return a + b  -- add type hints to this function",
    "Fix the compile error in my Rust struct and its impl block.",
    "How do I sort a std::vector of structs by a member in C++?",
    "Refactor this JavaScript loop: for (let i = 0; i < n; i++) { sum += a[i]; }",
};
const std::vector<std::string> kTranslate = {
    "Translate into German: The weather is nice today.",
    "How do you say 'good morning' in Japanese?",
    "Please translate this letter to French for my aunt.",
    "What is the Spanish word for butterfly?",
    "Übersetze bitte ins Englische: Ich habe Hunger.",
    "Translate the following sentence from Italian to English: buona notte",
};
const std::vector<std::string> kCook = {
    "Give me a recipe for tomato soup with basil.",
    "How long do I roast a chicken at 180 degrees in the oven?",
    "What can I cook with eggs, spinach and potatoes?",
    "How much yeast does a kilogram of flour need for bread dough?",
    "A vegetarian dinner for four guests, please, with dessert.",
    "How do I keep rice from sticking to the pot?",
};

TaskRouterOptions three_tasks() {
  return {.tasks = {{.name = "code", .model = "coder", .examples = kCode},
                    {.name = "translate", .model = "polyglot@formal", .examples = kTranslate},
                    {.name = "cook", .tags = {"Cooking"}, .examples = kCook}}};
}

std::string nobody(const std::vector<std::string>&) { return ""; }

TEST(TaskRouter, TellsTasksApart) {
  const auto router = TaskRouter::create(three_tasks());
  ASSERT_TRUE(router) << router.error().message;
  const TaskChoice code = router->choose("Why does my Python function return None? def f(x): x + 1", nobody);
  EXPECT_EQ(code.model, "coder");
  EXPECT_THAT(code.why, HasSubstr("task 'code' with "));
  EXPECT_THAT(code.why, HasSubstr(", next '"));
  EXPECT_EQ(router->choose("Translate this to Spanish: I am tired.", nobody).model, "polyglot@formal");
}

TEST(TaskRouter, TagsFindAModelWhereTheTaskNamesNone) {
  const auto router = TaskRouter::create(three_tasks());
  ASSERT_TRUE(router);
  constexpr const char* kText = "What can I cook for dinner with rice, eggs and tomato?";
  const TaskChoice none = router->choose(kText, nobody);
  EXPECT_EQ(none.model, "");
  EXPECT_THAT(none.why, HasSubstr("no model has its tags"));
  const TaskChoice tagged = router->choose(kText, [](const std::vector<std::string>& tags) {
    return tags == std::vector<std::string>{"Cooking"} ? "chef" : "";
  });
  EXPECT_EQ(tagged.model, "chef");
  EXPECT_THAT(tagged.why, HasSubstr("by tags"));
}

TEST(TaskRouter, AbstainsWhereTasksAreClose) {
  TaskRouterOptions options = three_tasks();
  options.margin = 0.999;
  const auto router = TaskRouter::create(std::move(options));
  ASSERT_TRUE(router);
  const TaskChoice choice = router->choose("hello", nobody);
  EXPECT_EQ(choice.model, "");
  EXPECT_THAT(choice.why, HasSubstr("too close, so the default"));
}

TEST(TaskRouter, ATaskWithoutAModelIsTheDefault) {
  TaskRouterOptions options = three_tasks();
  options.tasks[0].model.clear();
  const auto router = TaskRouter::create(std::move(options));
  const TaskChoice choice = router->choose("Fix this Python function: def f(a): return a +", nobody);
  EXPECT_EQ(choice.model, "");
  EXPECT_THAT(choice.why, HasSubstr("it has no model"));
}

TEST(TaskRouter, IsTheSameEachTime) {
  const auto one = TaskRouter::create(three_tasks());
  const auto two = TaskRouter::create(three_tasks());
  for (const std::string& text : kCook) EXPECT_EQ(one->scores(text), two->scores(text));
}

TEST(TaskRouter, TextsOfAnyKindAndLengthHaveProbabilities) {
  const auto router = TaskRouter::create(three_tasks());
  for (const std::string& text : {std::string(), std::string("\xFF\xFE\x00", 3), std::string(1'000'000, 'x'),
                                  std::string(TaskClassifier::kHeadBytes, ' '), std::string("日本語")}) {
    float sum = 0;
    for (const auto& [name, probability] : router->scores(text)) sum += probability;
    EXPECT_NEAR(sum, 1, 1e-4);
  }
}

TEST(TaskRouter, TheEndOfALongTextCounts) {
  const auto router = TaskRouter::create(three_tasks());
  const std::string filler(5'000, '.');
  const auto probability = [&](const std::string& text) {
    for (const auto& [name, value] : router->scores(text)) {
      if (name == "translate") return value;
    }
    return 0.0F;
  };
  EXPECT_GT(probability(filler + " Translate this into German, please."), probability(filler));
}

TEST(TaskRouter, RefusesWhatIsNoTask) {
  const auto message = [](std::vector<TaskOptions> tasks) {
    const auto made = TaskRouter::create({.tasks = std::move(tasks)});
    return made ? std::string() : made.error().message;
  };
  EXPECT_THAT(message({{.name = "a"}}), HasSubstr("neither examples nor tags"));
  EXPECT_THAT(message({{.name = "", .examples = {"x"}}}), HasSubstr("name"));
  EXPECT_THAT(message({{.name = "a", .examples = {"x"}}, {.name = "a", .examples = {"y"}}}), HasSubstr("two"));
  EXPECT_THAT(message({{.name = "a", .model = "auto", .examples = {"x"}}}), HasSubstr("'auto'"));
  EXPECT_THAT(message({{.name = "a", .examples = {""}}}), HasSubstr("0 bytes"));
  EXPECT_THAT(message({{.name = "a", .examples = {std::string(kTaskTextBytesMax + 1, 'x')}}}), HasSubstr("bytes"));
  EXPECT_EQ(message({{.name = "a", .tags = {"x"}}}), "");
  std::vector<TaskOptions> many;
  for (std::size_t i = 0; i < TaskClassifier::kTasksMax; ++i) many.push_back({.name = fmt::format("t{}", i), .examples = {"x"}});
  EXPECT_EQ(message(many), "");
  many.push_back({.name = "one more", .examples = {"x"}});
  EXPECT_THAT(message(many), HasSubstr("65 tasks"));
}

TEST(ModelTags, TheMostSharedWin) {
  std::vector<store::CatalogueEntry> models = {{.name = "big", .architecture = "llama", .tags = {"chat"}},
                                               {.name = "coder", .architecture = "llama", .tags = {"code", "chat"}}};
  EXPECT_EQ(find_tagged(models, {}, {"Chat"}), "big");
  EXPECT_EQ(find_tagged(models, {}, {"code", "chat"}), "coder");
  EXPECT_EQ(find_tagged(models, {}, {"law"}), "");
  const std::vector<store::CatalogueEntry> adapters = {{.name = "legal", .architecture = "llama", .tags = {"law"}}};
  EXPECT_EQ(find_tagged(models, adapters, {"law"}), "big@legal");
}

// ---- In a hub ----------------------------------------------------------------------------------

class RoutedHubTest : public ::testing::Test {
 protected:
  RoutedHubTest() {
    ConductorParts parts;
    parts.ledger =
        std::move(*ledger::Ledger::open(folder_ / "ledger.db", ledger::Ledger::Mode::kReadWrite));
    parts.writer = std::make_unique<ledger::LedgerWriter>(*parts.ledger);
    parts.http = std::move(*net::HttpClient::create());
    parts.upstreams = std::move(*UpstreamDirectory::create(
        {{.name = "far",
          .url = fmt::format("http://127.0.0.1:{}/v1", net::unused_port()),
          .is_local = false,
          .prices = advisor::Prices{},
          .attempts_max = 1}},
        *parts.http));
    parts.upstream_desk = std::make_unique<UpstreamDesk>(*parts.upstreams, *parts.http, *parts.writer);
    parts.engine = std::make_unique<FakeEngine>([](FakeJob& job) { job.end(); });
    auto source = std::make_unique<FakeSource>();
    source->add("general", std::make_shared<FakeModel>(), "config", 5000);
    source->add("coder", std::make_shared<FakeModel>());
    source->add("polyglot", std::make_shared<FakeModel>());
    source->add_adapter("formal");
    parts.shelf = std::make_unique<ModelShelf>(std::move(source), ShelfOptions{});
    TaskRouterOptions tasks = three_tasks();
    tasks.tasks[2] = {.name = "cook", .model = "far/chef", .examples = kCook};
    tasks.tasks.push_back({.name = "sums", .model = "nobody", .examples = {"17 * 23 = ?", "what is 12 + 19 - 4", "20 % of 85"}});
    parts.tasks = std::make_unique<TaskRouter>(std::move(*TaskRouter::create(std::move(tasks))));
    hub_ = std::make_unique<Conductor>(std::move(parts), ConductorOptions{});
  }
  ~RoutedHubTest() override {
    hub_.reset();
  }
  Receipt receipt_of(ChatRequest request) {
    const auto sink = std::make_shared<CollectingSink>();
    const auto id = hub_->chat(std::move(request), sink);
    EXPECT_TRUE(id) << (id ? "" : id.error().message);
    EXPECT_TRUE(sink->wait());
    EXPECT_TRUE(sink->receipt());
    return sink->receipt().value_or(Receipt{});
  }
  static ChatRequest question(std::string text, std::string model = "auto") {
    return {.model = std::move(model), .messages = {{.content = std::move(text)}}};
  }

  TempFolder folder_;
  std::unique_ptr<Conductor> hub_;
};

TEST_F(RoutedHubTest, AutoTakesTheTasksModelAndTheReceiptSaysWhy) {
  const Receipt code = receipt_of(question("Write a Python function that sorts a list: def sort(a):"));
  EXPECT_EQ(code.model, "coder");
  EXPECT_THAT(code.choice, HasSubstr("task 'code'"));
  const Receipt formal = receipt_of(question("Translate into French: good morning, my dear aunt", "local"));
  EXPECT_EQ(formal.model, "polyglot");
  EXPECT_EQ(formal.adapter, "formal");
  const Receipt named = receipt_of(question("Write a Python function", "general"));
  EXPECT_EQ(named.model, "general");
  EXPECT_EQ(named.choice, "") << "a model that was named is no choice of the hub's";
}

TEST_F(RoutedHubTest, WhatLeavesIsTakenOnlyWhereItMay) {
  constexpr const char* kText = "How long do I roast a chicken in the oven with potatoes for dinner?";
  const Receipt local = receipt_of(question(kText, "local"));
  EXPECT_EQ(local.model, "general");
  EXPECT_THAT(local.choice, HasSubstr("not on this machine"));
  ChatRequest never = question(kText);
  never.advice = AdviceMode::kNever;
  EXPECT_EQ(receipt_of(std::move(never)).model, "general");
  const auto sink = std::make_shared<CollectingSink>();
  ASSERT_TRUE(hub_->chat(question(kText, ""), sink));
  ASSERT_TRUE(sink->wait());
  ASSERT_TRUE(sink->error());
  EXPECT_THAT(sink->error()->message, HasSubstr("'far'")) << "it was asked, and is not there";
}

TEST_F(RoutedHubTest, AMissingModelFallsBackToTheDefault) {
  const Receipt receipt = receipt_of(question("what is 17 * 12 + 4 - 19 = ?"));
  EXPECT_EQ(receipt.model, "general");
  EXPECT_THAT(receipt.choice, HasSubstr("'nobody' can't be had"));
}

// ---- On real questions -------------------------------------------------------------------------

// The kinds of MMLU-Pro's questions, which are much closer to one another than a user's tasks: learned
// from the first of each kind, asked about all others.
TEST(TaskClassifier, TellsKindsOfRealQuestionsApart) {
  std::ifstream file(HEARTH_SHARED_DIR "/routing/mmlu_pro_pair.jsonl");
  if (!file) GTEST_SKIP() << "the questions are not here";
  std::map<std::string, std::vector<std::string>> by_kind;
  for (std::string line; std::getline(file, line);) {
    const auto row = nlohmann::json::parse(line);
    if (row["category"] != "other") by_kind[row["category"]].push_back(row["question"]);
  }
  struct Row {
    std::size_t n_examples;
    double right_min, right_if_sure_min;  // Of all, and of those that are ahead by the default margin.
  };
  for (const Row& row : {Row{10, 0.44, 0.70}, Row{30, 0.56, 0.75}, Row{100, 0.68, 0.79}}) {
    std::vector<TaskExamples> tasks;
    for (const auto& [kind, texts] : by_kind) {
      tasks.push_back({kind, {texts.begin(), texts.begin() + static_cast<std::ptrdiff_t>(row.n_examples)}});
    }
    const auto classifier = TaskClassifier::train(tasks);
    ASSERT_TRUE(classifier);
    double n = 0, right = 0, sure = 0, sure_and_right = 0;
    for (std::size_t task = 0; task < tasks.size(); ++task) {
      const auto& texts = by_kind[tasks[task].name];
      for (std::size_t i = row.n_examples; i < texts.size(); ++i) {
        const auto ranked = classifier->classify(texts[i]);
        const bool is_right = ranked[0].task == task;
        const bool is_sure = ranked[0].probability - ranked[1].probability >= 0.4F;
        n += 1;
        right += is_right;
        sure += is_sure;
        sure_and_right += is_sure && is_right;
      }
    }
    RecordProperty(fmt::format("right_of_{}", row.n_examples), fmt::format("{:.3f}", right / n));
    EXPECT_GE(right / n, row.right_min) << row.n_examples;
    EXPECT_GE(sure_and_right / sure, row.right_if_sure_min) << row.n_examples << ", sure of " << sure / n;
  }
}

}  // namespace
}  // namespace hearth::hub
