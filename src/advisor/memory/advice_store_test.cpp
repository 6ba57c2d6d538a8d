#include "advisor/memory/advice_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <sstream>

#include "advisor/memory/likeness.h"
#include "base/file.h"
#include "base/temp_folder_for_test.h"

namespace hearth::advisor {
namespace {

double likeness_of(std::string_view a, std::string_view b) { return likeness(question_words(a), question_words(b)); }

TEST(Likeness, PolitenessAndPunctuationAreNoDifference) {
  const std::string_view question = "What is the capital of France?";
  for (const std::string_view same : {"what is the capital of France", "Please, what is the capital of France?!",
                                      "Can you tell me what is the capital of France?", "Hello! What is a capital of France"}) {
    EXPECT_EQ(likeness_of(question, same), 1) << same;
  }
  EXPECT_EQ(likeness_of("How do ravens sleep?", "How do raven sleep"), 1);
}

TEST(Likeness, WaysOfPuttingAQuestionAreNoDifference) {
  EXPECT_EQ(likeness_of("What's the meaning of HTTP 409?", "What does HTTP 409 mean?"), 1);
  EXPECT_EQ(likeness_of("Compute 3 + 4.", "How much is 3 + 4?"), 1);
  EXPECT_LT(likeness_of("How much is a Tesla?", "What is a Tesla?"), 1) << "only of numbers";
  EXPECT_LT(likeness_of("What year is it?", "When is it?"), 1);
  EXPECT_LT(likeness_of("How can penguins fly?", "How do penguins fly?"), 1);
  EXPECT_EQ(question_words("how to"), (std::vector<std::string>{"how", "to"})) << "nothing is asked";
}

// The measurement of the head comment: of how many pairs that mean the same, and of how many others.
TEST(Likeness, FindsParaphrasesWithoutTakingOthersForThem) {
  const auto text = read_file(std::string(HEARTH_SOURCE_DIR) + "/src/advisor/memory/paraphrases.txt");
  ASSERT_TRUE(text);
  std::vector<double> same, other;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t bar = line.find(" | "), second = line.find(" | ", bar + 3);
    if (line.starts_with("#") || second == line.npos) continue;
    (line[0] == '=' ? same : other).push_back(likeness_of(line.substr(bar + 3, second - bar - 3), line.substr(second + 3)));
  }
  ASSERT_EQ(same.size(), 50U);
  ASSERT_EQ(other.size(), 76U);
  const auto n_from = [](const std::vector<double>& likenesses, double least) {
    return std::ranges::count_if(likenesses, [&](double one) { return one >= least; });
  };
  EXPECT_EQ(n_from(same, 1), 19);
  EXPECT_EQ(n_from(other, 1), 0);
  EXPECT_GT(n_from(other, 0.8), n_from(same, 0.8)) << "so 1 is the default";
}

TEST(Likeness, WhatMakesItAnotherQuestionCounts) {
  struct Row {
    std::string_view a, b;
  };
  for (const Row& row : {Row{"What is the capital of France?", "What is the capital of Germany?"},
                         Row{"What is 2+2?", "What is 2-2?"},
                         Row{"Is it 12.5 percent?", "Is it 125 percent?"},
                         Row{"May I take it?", "May I not take it?"},
                         Row{"Does it work?", "Doesn't it work?"},
                         Row{"What does the WHO say?", "What does the who say?"},
                         Row{"", "What?"}}) {
    EXPECT_EQ(likeness_of(row.a, row.b), 0) << row.a;
  }
  const double swapped = likeness_of("convert euros to dollars", "convert dollars to euros");
  EXPECT_LT(swapped, 1);
  EXPECT_LT(likeness_of("who is the president", "who was the president"), 1);
  EXPECT_GT(likeness_of("who is the president of the club now", "who was the president of the club now"), 0.8);
  EXPECT_TRUE(question_words(std::string(2 * kLikenessWordsMax + 4, '.') + std::string(2 * kLikenessWordsMax, '+')).empty());
}

class AdviceStoreTest : public ::testing::Test {
 protected:
  AdviceStoreTest() {
    open();
  }
  ~AdviceStoreTest() override {
    store_.reset();
  }
  void open(AdviceStoreOptions options = {.file = {}}) {
    options.file = folder_ / "in" / "advice.db";
    store_.reset();
    auto opened = AdviceStore::open(options, clock_);
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = *std::move(opened);
  }
  void remember(const std::string& question, const AdviceKey& key = kKey) {
    const auto done = store_->remember(key, {.receipt = "r-" + question.substr(0, 4), .adviser = "acme/wise",
                                             .question = question, .draft = "Dunno.", .advice = "Say " + question});
    ASSERT_TRUE(done) << done.error().message;
  }
  std::string recalled(const std::string& question, const AdviceKey& key = kKey) {
    const auto found = store_->recall(key, question);
    EXPECT_TRUE(found) << (found ? "" : found.error().message);
    return found && *found ? (*found)->advice : "";
  }

  static inline const AdviceKey kKey{.client = "ann", .gives = "private", .adviser = "acme/wise", .model = "m Q4", .context = ~0ULL};
  FakeClock clock_;
  TempFolder folder_;
  std::unique_ptr<AdviceStore> store_;
};

TEST_F(AdviceStoreTest, FindsTheSameQuestionInOtherWords) {
  remember("What is the capital of France?");
  remember("What is the capital of Italy?");
  remember("How \"deep\" is C++'s std::deque?");
  EXPECT_EQ(recalled("please: what is the capital of Italy"), "Say What is the capital of Italy?");
  EXPECT_EQ(recalled("What is the capital of Spain?"), "");
  EXPECT_EQ(recalled("How \"deep\" is C++'s std::deque"), "Say How \"deep\" is C++'s std::deque?");
  EXPECT_EQ(recalled("\" OR * ) NEAR("), "");
  EXPECT_EQ(recalled(""), "");
  struct stat status{};
  ASSERT_EQ(::stat((folder_ / "in" / "advice.db").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(AdviceStoreTest, NothingOfItsKeyMayDiffer) {
  remember("What is the capital of France?");
  const auto with = [](auto change) {
    AdviceKey key = kKey;
    change(key);
    return key;
  };
  for (const AdviceKey& other : {with([](AdviceKey& k) { k.client = "bob"; }), with([](AdviceKey& k) { k.gives = "public"; }),
                                 with([](AdviceKey& k) { k.adviser = "other/one"; }), with([](AdviceKey& k) { k.model = "m@poet Q4"; }),
                                 with([](AdviceKey& k) { k.context = 1; })}) {
    EXPECT_EQ(recalled("What is the capital of France?", other), "");
  }
  EXPECT_NE(recalled("What is the capital of France?"), "");
}

TEST_F(AdviceStoreTest, TheLikestIsTakenWhereLikeIsEnough) {
  open({.file = {}, .likeness_min = 0.7});
  remember("who was the president of the club then");
  remember("who is the president of the club now");
  EXPECT_EQ(recalled("who is the president of the club then now"), "Say who is the president of the club now");
  EXPECT_EQ(recalled("who is the president of the club 2 now"), "") << "a number more is another question";
}

TEST_F(AdviceStoreTest, ForgetsByIdByReceiptByAgeAndByNumber) {
  open({.file = {}, .days_max = 2, .entries_max = 3});
  for (const char* question : {"one raven", "two ravens", "three doves", "four doves"}) remember(question);
  EXPECT_EQ(recalled("one raven"), "");
  ASSERT_EQ(store_->remembered(10)->size(), 3U);
  EXPECT_EQ(store_->remembered(10)->at(0).question, "four doves");
  EXPECT_EQ(*store_->forget("a-2"), 1);
  EXPECT_EQ(*store_->forget("r-thre"), 1);
  EXPECT_EQ(*store_->forget("a-x"), 0);
  EXPECT_EQ(recalled("two ravens"), "");
  EXPECT_NE(recalled("four doves"), "");
  clock_.advance(std::chrono::hours(72));
  EXPECT_EQ(recalled("four doves"), "") << "too old";
  EXPECT_EQ(*store_->forget("all"), 1);
  EXPECT_TRUE(store_->remembered(10)->empty());
  remember(std::string(kRememberedBytesMax + 1, 'x'));
  EXPECT_TRUE(store_->remembered(10)->empty());
}

TEST_F(AdviceStoreTest, DefersAQuestionOnce) {
  const DeferredQuestion question{.id = {}, .receipt = "r-1", .model = "m", .request = "{}", .draft = "Dunno.", .why = "down"};
  ASSERT_TRUE(store_->defer(question));
  ASSERT_TRUE(store_->defer(question));
  DeferredQuestion other = question;
  other.model = "n";
  ASSERT_TRUE(store_->defer(other));
  open();
  const auto list = *store_->deferred();
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0].draft, "Dunno.");
  EXPECT_EQ(list[0].why, "down");
  EXPECT_EQ(*store_->drop_deferred(list[0].id), 1);
  EXPECT_EQ(store_->deferred()->at(0).model, "n");
  other.request = std::string(kDeferredBytesMax + 1, 'x');
  EXPECT_FALSE(store_->defer(other));
}

}  // namespace
}  // namespace hearth::advisor
