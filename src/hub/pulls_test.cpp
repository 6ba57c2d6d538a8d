// Pulls against an emulated registry whose lines break and stall, with a hub that only lists, and with a
// real one that answers with what was pulled.
#include "hub/pulls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <filesystem>

#include "base/file.h"
#include "base/temp_folder_for_test.h"
#include "hub/create_hub.h"
#include "hub/fakes_for_test.h"
#include "model/random_model.h"
#include "store/registry_for_test.h"

namespace hearth::hub {
namespace {

namespace fs = std::filesystem;
using store::RegistryForTest;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::size_t kModelBytes = 400'000;

// A hub that has models and does nothing.
class ListingHub final : public Hub {
 public:
  Result<RequestId> chat(ChatRequest, std::shared_ptr<ChatSink>) override { return none(); }
  Result<> embed(EmbeddingRequest, EmbeddingDone) override { return none(); }
  Result<> rerank(RerankRequest, RerankDone) override { return none(); }
  void cancel(RequestId) override {}
  std::vector<ModelEntry> models() const override { return entries; }
  HubStats stats() const override { return {}; }
  Result<> health() override { return {}; }
  void shutdown(std::chrono::milliseconds) override {}
  void refresh_models() override { ++n_scans; }

  std::vector<ModelEntry> entries;
  std::atomic<int> n_scans{0};

 private:
  static std::unexpected<Error> none() { return fail(Code::kUnsupported, "this hub only lists"); }
};

// Remembers what a pull told, and waits for its end.
class Watching {
 public:
  Pulls::Watcher watcher() {
    return [this](const PullState& state) {
      const std::lock_guard lock(mutex_);
      states_.push_back(state);
      changed_.notify_all();
    };
  }
  template <class Until>
  bool wait(Until until) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(60), [&] { return !states_.empty() && until(states_.back()); });
  }
  PullState end() {
    EXPECT_TRUE(wait([](const PullState& state) { return state.step == PullStep::kDone || state.step == PullStep::kFailed; }));
    const std::lock_guard lock(mutex_);
    return states_.back();
  }
  std::vector<PullState> states() {
    const std::lock_guard lock(mutex_);
    return states_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<PullState> states_;
};

bool is_half(const PullState& state) { return state.completed >= kModelBytes / 2; }

class PullsTest : public testing::Test {
 protected:
  PullsTest() {
    options_.from.folder = folder_ / "pulled";
    options_.from.ollama_url = registry_.url();
    options_.from.huggingface_url = registry_.url();
    options_.report_every = milliseconds(0);
    options_.attempts_max = 3;
    options_.pause = milliseconds(1);
  }

  fs::path file() const { return options_.from.folder / "ollama/library/tiny/tiny-1b.gguf"; }
  std::string error_of(std::string_view name) {
    Watching watching;
    Pulls pulls(options_, hub_);
    const auto watch = pulls.join(name, watching.watcher());
    if (!watch) return watch.error().message;
    const PullState end = watching.end();
    return end.error ? end.error->message : "";
  }

  const TempFolder folder_;
  RegistryForTest registry_{std::string(kModelBytes, 'm')};
  PullsOptions options_;
  ListingHub hub_;
};

TEST_F(PullsTest, TellsEachStepAndListsBeforeTheEnd) {
  hub_.entries = {{.name = "tiny:1b", .path = file().string(), .source = "pulled"}};
  registry_.breaks_once = true;
  Watching watching;
  Pulls pulls(options_, hub_);
  ASSERT_TRUE(pulls.join("tiny:1b", watching.watcher()));
  const PullState end = watching.end();
  ASSERT_EQ(end.step, PullStep::kDone) << (end.error ? end.error->message : "");
  EXPECT_EQ(end.model, "tiny:1b");
  EXPECT_EQ(hub_.n_scans, 1);
  EXPECT_EQ(fs::file_size(file()), kModelBytes);
  EXPECT_THAT(registry_.starts(), ElementsAre(0U, kModelBytes / 2));

  const std::vector<PullState> states = watching.states();
  EXPECT_EQ(states.front().step, PullStep::kAsking);
  EXPECT_EQ(states[states.size() - 2].step, PullStep::kListing);
  EXPECT_EQ(states[states.size() - 3].step, PullStep::kVerified);
  std::uint64_t completed = 0;
  for (const PullState& state : states) {
    if (state.step != PullStep::kFetching) continue;
    EXPECT_EQ(state.sha256, registry_.digest());
    EXPECT_EQ(state.total, kModelBytes);
    EXPECT_GE(state.completed, completed);
    completed = state.completed;
  }
  EXPECT_EQ(completed, kModelBytes);
}

TEST_F(PullsTest, WhoComesLaterJoins) {
  registry_.stalls = true;
  Watching first, second;
  Pulls pulls(options_, hub_);
  ASSERT_TRUE(pulls.join("tiny:1b", first.watcher()));
  ASSERT_TRUE(first.wait(is_half));
  ASSERT_TRUE(pulls.join("ollama:library/tiny:1b", second.watcher()));
  EXPECT_EQ(second.states().front().step, PullStep::kFetching);  // At once, and where it is.
  registry_.stalls = false;
  EXPECT_EQ(first.end().step, PullStep::kDone);
  EXPECT_EQ(second.end().step, PullStep::kDone);
  EXPECT_EQ(registry_.starts().size(), 1U);
}

TEST_F(PullsTest, TheLastToLeaveEndsItAndTheNextGoesOn) {
  registry_.stalls = true;
  Watching first, second, third;
  Pulls pulls(options_, hub_);
  const auto one = pulls.join("tiny:1b", first.watcher());
  const auto two = pulls.join("tiny:1b", second.watcher());
  ASSERT_TRUE(one && two);
  ASSERT_TRUE(second.wait(is_half));
  pulls.leave(*one);
  const std::size_t n_told = first.states().size();
  pulls.leave(*two);
  registry_.stalls = false;
  ASSERT_TRUE(pulls.join("tiny:1b", third.watcher()));  // Waits until the first has let go of the file.
  const PullState end = third.end();
  EXPECT_EQ(end.step, PullStep::kDone) << (end.error ? end.error->message : "");
  EXPECT_EQ(first.states().size(), n_told);
  ASSERT_EQ(registry_.starts().size(), 2U);
  EXPECT_GE(registry_.starts()[1], kModelBytes / 2);
}

TEST_F(PullsTest, StoppingTellsWhoWatches) {
  registry_.stalls = true;
  Watching watching;
  Pulls pulls(options_, hub_);
  ASSERT_TRUE(pulls.join("tiny:1b", watching.watcher()));
  ASSERT_TRUE(watching.wait(is_half));
  pulls.stop();
  const PullState end = watching.end();
  ASSERT_TRUE(end.error);
  EXPECT_EQ(end.error->code, Code::kCancelled);
  EXPECT_TRUE(fs::exists(file().string() + ".partial"));
  EXPECT_FALSE(pulls.join("tiny:1b", watching.watcher()));
}

TEST_F(PullsTest, RefusalsAreOneSentence) {
  EXPECT_THAT(error_of("../x"), HasSubstr("is no name of a model to pull"));
  EXPECT_THAT(error_of("https://x.org/f.gguf"), HasSubstr("`hearth models pull` takes URLs"));
  EXPECT_THAT(error_of("tiny:9b"), HasSubstr("there is no 'library/tiny:9b' in the registry"));
  EXPECT_THAT(error_of("org/none"), HasSubstr("there is no 'org/none' in the registry"));
  options_.from.is_offline = true;
  EXPECT_THAT(error_of("tiny:1b"), HasSubstr("HF_HUB_OFFLINE"));
  options_.is_allowed = false;
  EXPECT_THAT(error_of("tiny:1b"), HasSubstr("models.pull is false"));
}

TEST_F(PullsTest, MoreThanTheLimitHaveToWait) {
  registry_.stalls = true;
  options_.pulls_max = 1;
  Watching watching;
  Pulls pulls(options_, hub_);
  ASSERT_TRUE(pulls.join("tiny:1b", watching.watcher()));
  const auto more = pulls.join("tiny:2b", watching.watcher());
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Code::kUnavailable);
  ASSERT_TRUE(pulls.join("tiny:1b", watching.watcher()));
}

TEST_F(PullsTest, OnlyWhatWasPulledIsDeleted) {
  const fs::path hf = options_.from.folder / "huggingface/Org/Repo/m-Q8_0.gguf";
  fs::create_directories(hf.parent_path());
  ASSERT_TRUE(write_file_atomic(hf, "x"));
  ASSERT_TRUE(write_file_atomic(hf.string() + ".partial", "x"));
  hub_.entries = {{.name = "mine", .path = "/m/mine.gguf", .source = "config"},
                  {.name = "kept", .path = "/s/kept.model", .source = "store"},
                  {.name = "m-Q8_0", .path = hf.string(), .source = "pulled"}};
  Pulls pulls(options_, hub_);
  EXPECT_THAT(pulls.remove("mine").error().message, HasSubstr("was not pulled by Hearth"));
  EXPECT_THAT(pulls.remove("kept").error().message, HasSubstr("`hearth models rm`"));
  EXPECT_EQ(pulls.remove("none").error().code, Code::kNotFound);
  EXPECT_EQ(pulls.find("hf.co/org/repo:Q8_0")->name, "m-Q8_0");
  EXPECT_FALSE(pulls.find("hf.co/org/repo:Q4_0"));
  ASSERT_TRUE(pulls.remove("hf.co/Org/Repo"));
  EXPECT_FALSE(fs::exists(options_.from.folder / "huggingface"));
  EXPECT_TRUE(fs::exists(options_.from.folder));
}

TEST_F(PullsTest, ARealHubAnswersWithWhatWasPulledAndForgetsIt) {
  const fs::path source = folder_ / "source.gguf";
  ASSERT_TRUE(model::write_random_model(source, {.type = "Q8_0", .n_layers = 1, .d_model = 64, .d_ff = 64, .n_heads = 2,
                                                 .n_kv_heads = 2, .head_dim = 32, .n_vocab = 512, .n_context = 512, .seed = 1}));
  RegistryForTest registry(*read_file(source));
  options_.from.ollama_url = registry.url();
  HubOptions hub_options;
  hub_options.catalogue.pulled = options_.from.folder;
  hub_options.catalogue.scan_other_programs = false;
  hub_options.engine.n_threads = 1;
  hub_options.engine.kv_bytes_max = std::uint64_t{16} << 20;
  hub_options.ledger_path = folder_ / "ledger.db";
  auto hub = create_hub(hub_options);
  ASSERT_TRUE(hub) << hub.error().message;
  EXPECT_TRUE((*hub)->models().empty());

  registry.breaks_once = true;
  Watching watching;
  Pulls pulls(options_, **hub);
  ASSERT_TRUE(pulls.join("tiny:1b", watching.watcher()));
  const PullState end = watching.end();
  ASSERT_EQ(end.step, PullStep::kDone) << (end.error ? end.error->message : "");
  EXPECT_EQ(end.model, "tiny:1b");
  EXPECT_EQ(end.problem, "");
  for (const char* name : {"tiny:1b", "registry.ollama.ai/library/tiny:1b"}) {
    auto sink = std::make_shared<CollectingSink>();
    ASSERT_TRUE((*hub)->chat({.model = name, .messages = {{.content = "Hi"}}, .max_tokens = 2}, sink)) << name;
    ASSERT_TRUE(sink->wait());
    EXPECT_FALSE(sink->error()) << sink->error()->message;
  }
  ASSERT_TRUE(pulls.remove("tiny:1b"));
  EXPECT_TRUE((*hub)->models().empty());
  EXPECT_FALSE(fs::exists(file()));
}

}  // namespace
}  // namespace hearth::hub
