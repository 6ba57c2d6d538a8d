#include "advisor/consent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <future>

#include "base/file.h"
#include "base/temp_folder_for_test.h"

namespace hearth::advisor {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const ConsentNeed kNeed{.client = "ann", .gives = "private", .rule = "tickets", .policy = 7};

Departure departure(const std::string& provider = "acme") {
  return {.consent = {}, .request_id = "r-1", .provider = provider, .model = "wise", .url = "https://x", .headers = {},
          .body = "{\"exact\": \"bytes\"}", .label = "class private by rule 'tickets'"};
}

class ConsentTest : public ::testing::Test {
 protected:
  ConsentTest() {
    open();
  }
  ~ConsentTest() override {
    desk_.reset();
  }
  void open(milliseconds wait = milliseconds(60'000)) {
    desk_.reset();
    desk_ = std::make_unique<ConsentDesk>(ConsentOptions{.wait = wait, .remembered = folder_ / "in" / "consents.jsonl"});
  }
  // Asks; the end arrives in `future`.
  std::string ask(const ConsentNeed& need = kNeed, const std::string& provider = "acme") {
    const auto promise = std::make_shared<std::promise<ConsentEnd>>();
    end_ = promise->get_future();
    n_shown_ = 0;
    return desk_->ask(need, departure(provider), [this](const DeparturePtr&) { ++n_shown_; },
                      [promise](ConsentEnd end) { promise->set_value(std::move(end)); });
  }

  TempFolder folder_;
  std::unique_ptr<ConsentDesk> desk_;
  std::future<ConsentEnd> end_;
  int n_shown_ = 0;
};

TEST_F(ConsentTest, OnlyWhoAskedSeesItAndAnswers) {
  const std::string id = ask();
  EXPECT_EQ(n_shown_, 1);
  EXPECT_THAT(desk_->pending("bob"), IsEmpty());
  ASSERT_EQ(desk_->pending("ann").size(), 1U);
  EXPECT_EQ(desk_->pending("ann")[0]->consent, id);
  EXPECT_EQ(desk_->pending("ann")[0]->body, "{\"exact\": \"bytes\"}");
  const auto theirs = desk_->answer(id, "bob", true, true);
  ASSERT_FALSE(theirs);
  EXPECT_EQ(theirs.error().code, Code::kNotFound);
  ASSERT_TRUE(desk_->answer(id, "ann", true, false));
  const ConsentEnd end = end_.get();
  EXPECT_TRUE(end.is_allowed);
  EXPECT_EQ(end.words, "allowed by ann");
  EXPECT_FALSE(desk_->answer(id, "ann", false, false)) << "a consent is answered once";
  EXPECT_THAT(desk_->pending("ann"), IsEmpty());
}

TEST_F(ConsentTest, NoAnswerIsANo) {
  open(milliseconds(1));
  ask();
  const ConsentEnd end = end_.get();
  EXPECT_FALSE(end.is_allowed);
  EXPECT_THAT(end.words, HasSubstr("nobody agreed within"));
  open();
  ask();
  desk_.reset();
  EXPECT_FALSE(end_.get().is_allowed) << "at the program's end, too";
  open();
  desk_->withdraw(ask());
  EXPECT_FALSE(end_.get().is_allowed);
}

TEST_F(ConsentTest, AnAnswerIsRememberedForItsRuleAndNothingElse) {
  ASSERT_TRUE(desk_->answer(ask(), "ann", true, true));
  EXPECT_EQ(end_.get().words, "allowed by ann, for all of rule 'tickets'");
  for (const bool is_restarted : {false, true}) {
    if (is_restarted) open();
    EXPECT_EQ(ask(), "");
    EXPECT_EQ(n_shown_, 0);
    EXPECT_TRUE(end_.get().is_allowed);
  }
  ConsentNeed other = kNeed;
  for (const auto& change : std::vector<std::function<void(ConsentNeed&)>>{
           [](ConsentNeed& n) { n.client = "bob"; }, [](ConsentNeed& n) { n.gives = "secret"; },
           [](ConsentNeed& n) { n.rule = "default"; }, [](ConsentNeed& n) { n.policy = 8; }}) {
    other = kNeed;
    change(other);
    EXPECT_NE(ask(other), "");
  }
  EXPECT_NE(ask(kNeed, "evil"), "");
}

TEST_F(ConsentTest, TheLatestRememberedAnswerCounts) {
  const std::string first = ask();
  const auto first_end = std::move(end_);
  const std::string second = ask();
  ASSERT_TRUE(desk_->answer(first, "ann", true, true));
  ASSERT_TRUE(desk_->answer(second, "ann", false, true));
  open();
  EXPECT_EQ(ask(), "");
  EXPECT_FALSE(end_.get().is_allowed);
  const auto list = read_remembered_consents(folder_ / "in" / "consents.jsonl");
  ASSERT_EQ(list.size(), 1U);
  EXPECT_FALSE(list[0].is_allowed);
  // Whoever removes the file is asked again, and a torn line is none.
  std::filesystem::remove(folder_ / "in" / "consents.jsonl");
  EXPECT_NE(ask(), "");
  std::ofstream(folder_ / "in" / "consents.jsonl") << "{\"at_unix_us\": 1, \"client\": \"ann\", \"allowed\": tr\n[1]\n{}\n";
  EXPECT_THAT(read_remembered_consents(folder_ / "in" / "consents.jsonl"), IsEmpty());
}

TEST_F(ConsentTest, AtMostSoManyWait) {
  for (std::size_t i = 0; i < kConsentsMax; ++i) EXPECT_NE(ask(), "");
  EXPECT_EQ(ask(), "");
  EXPECT_FALSE(end_.get().is_allowed);
  EXPECT_EQ(desk_->pending("ann").size(), kConsentsMax);
}

}  // namespace
}  // namespace hearth::advisor
