// What stays loaded when memory is short, and what never goes.
#include "hub/model_shelf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "hub/fakes_for_test.h"

namespace hearth::hub {
namespace {

using ::testing::UnorderedElementsAre;

// A model of some bytes.
class SizedModel final : public model::Model {
 public:
  explicit SizedModel(std::uint64_t bytes) {
    text::VocabSpec spec{.model = "llama"};
    spec.tokens = {"<unk>", "a"};
    spec.unk = 0;
    tokenizer_ = *text::Tokenizer::create(std::move(spec));
    chat_template_ = text::ChatTemplate::chatml();
    weight_bytes_ = bytes;
  }
  bool is_damaged() const override { return damaged; }
  std::atomic<bool> damaged = false;
};

class ModelShelfTest : public testing::Test {
 protected:
  void add(const std::string& name, std::uint64_t bytes) {
    source_->add(name, std::make_shared<SizedModel>(bytes), "config", bytes);
  }

  void open(ShelfOptions options) {
    raw_ = source_.get();
    shelf_ = std::make_unique<ModelShelf>(std::move(source_), std::move(options), clock_);
  }

  Result<Loaded> get(const std::string& name) {
    auto choice = shelf_->resolve(name);
    if (!choice) return std::unexpected(choice.error());
    std::promise<Result<Loaded>> promise;
    shelf_->get(choice->candidates, choice->adapters,
                [&](Result<Loaded> loaded) { promise.set_value(std::move(loaded)); });
    return promise.get_future().get();
  }

  std::vector<std::string> loaded() const {
    std::vector<std::string> names;
    for (const ModelEntry& entry : shelf_->entries()) {
      if (entry.loaded) names.push_back(entry.name);
    }
    return names;
  }

  std::unique_ptr<FakeSource> source_ = std::make_unique<FakeSource>();
  FakeSource* raw_ = nullptr;
  FakeClock clock_;
  std::unique_ptr<ModelShelf> shelf_;
};

TEST_F(ModelShelfTest, WhatIsUsedOftenOutlivesWhatWasUsedLast) {
  for (const char* name : {"often", "once", "next"}) add(name, 400);
  open({.bytes_max = 1000});
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(get("often"));
  ASSERT_TRUE(get("once"));
  ASSERT_TRUE(get("next"));
  EXPECT_THAT(loaded(), UnorderedElementsAre("often", "next"));
}

TEST_F(ModelShelfTest, WhatWasOnceUsedOftenAgesAway) {
  for (const char* name : {"old", "a", "b"}) add(name, 400);
  open({.bytes_max = 1000});
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(get("old"));
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(get(i % 2 == 0 ? "a" : "b"));
  EXPECT_THAT(loaded(), UnorderedElementsAre("a", "b"));
}

TEST_F(ModelShelfTest, AmongEqualsTheLargeOneGoes) {
  add("large", 700);
  add("small", 200);
  add("next", 300);
  open({.bytes_max = 1000});
  ASSERT_TRUE(get("large"));
  ASSERT_TRUE(get("small"));
  ASSERT_TRUE(get("next"));
  EXPECT_THAT(loaded(), UnorderedElementsAre("small", "next"));
}

TEST_F(ModelShelfTest, WhatARequestHoldsStays) {
  for (const char* name : {"held", "a", "b"}) add(name, 600);
  open({.bytes_max = 1000});
  const auto lease = get("held");
  ASSERT_TRUE(lease);
  ASSERT_TRUE(get("a"));
  EXPECT_THAT(loaded(), UnorderedElementsAre("held", "a"));  // Over the budget: nothing can go.
  ASSERT_TRUE(get("b"));
  EXPECT_THAT(loaded(), UnorderedElementsAre("held", "b"));
}

TEST_F(ModelShelfTest, PinnedModelsAreLoadedAtTheStartAndStay) {
  for (const char* name : {"pinned", "preloaded", "next"}) add(name, 600);
  open({.bytes_max = 1300, .pinned = {"pinned", "nobody"}, .preloaded = {"preloaded"}});
  ASSERT_TRUE(get("next"));  // Loads after those of the start.
  EXPECT_THAT(loaded(), UnorderedElementsAre("pinned", "next"));
  const MemoryReport report = shelf_->memory();
  EXPECT_EQ(report.bytes_used, 1200U);
  EXPECT_EQ(report.bytes_max, 1300U);
  const auto pinned = std::ranges::find(report.models, "pinned", &ModelMemory::name);
  ASSERT_NE(pinned, report.models.end());
  EXPECT_EQ(pinned->residence, Residence::kPinned);
}

TEST_F(ModelShelfTest, OneThatNobodyHoldsIsUnloadedWhenAsked) {
  for (const char* name : {"pinned", "free"}) add(name, 100);
  open({.bytes_max = 1000, .pinned = {"pinned"}});
  {
    const auto lease = get("free");
    EXPECT_EQ(shelf_->unload("free").error().code, Code::kUnavailable);
  }
  EXPECT_TRUE(shelf_->unload("free"));
  EXPECT_TRUE(shelf_->unload("free"));  // It is gone already.
  EXPECT_EQ(shelf_->unload("pinned").error().code, Code::kPermissionDenied);
  EXPECT_EQ(shelf_->unload("nobody").error().code, Code::kNotFound);
  EXPECT_THAT(loaded(), UnorderedElementsAre("pinned"));
  EXPECT_EQ(shelf_->memory().bytes_used, 100U);
  ASSERT_TRUE(get("free"));
}

TEST_F(ModelShelfTest, PinsAreSetAndTakenWhileItRuns) {
  for (const char* name : {"kept", "a", "b"}) add(name, 600);
  open({.bytes_max = 1300});
  EXPECT_EQ(shelf_->set_pinned("kept", true).error().code, Code::kUnavailable);  // Not loaded.
  EXPECT_EQ(shelf_->set_pinned("nobody", true).error().code, Code::kNotFound);
  ASSERT_TRUE(get("kept"));
  EXPECT_TRUE(shelf_->set_pinned("kept", true));
  EXPECT_EQ(shelf_->unload("kept").error().code, Code::kPermissionDenied);
  for (const char* name : {"a", "b"}) ASSERT_TRUE(get(name));
  EXPECT_THAT(loaded(), UnorderedElementsAre("kept", "b"));
  EXPECT_TRUE(shelf_->set_pinned("kept", false));
  ASSERT_TRUE(get("a"));  // Loads after the weights were unlocked.
  EXPECT_TRUE(shelf_->unload("kept"));
  EXPECT_THAT(loaded(), testing::Not(testing::Contains("kept")));
}

TEST_F(ModelShelfTest, AChangedFileIsLoadedAnew) {
  add("one", 100);
  open({.bytes_max = 1000});
  ASSERT_TRUE(get("one"));
  ASSERT_TRUE(get("one"));
  EXPECT_EQ(raw_->n_loads, 1);
  raw_->entries[0].version = 7;
  ASSERT_TRUE(get("one"));
  EXPECT_EQ(raw_->n_loads, 2);
}

TEST_F(ModelShelfTest, ADamagedModelIsLoadedAnew) {
  const auto model = std::make_shared<SizedModel>(100);
  source_->add("one", model);
  open({.bytes_max = 1000});
  ASSERT_TRUE(get("one"));
  model->damaged = true;
  ASSERT_TRUE(get("one"));
  EXPECT_EQ(raw_->n_loads, 2);
}

}  // namespace
}  // namespace hearth::hub
