// llama-server as a child, played by a script that crashes, hangs and dawdles as real ones do.
#include "hub/upstream/llama_server.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/temp_folder_for_test.h"
#include "hub/conductor.h"
#include "hub/fakes_for_test.h"

namespace hearth::hub {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// A zombie that nobody has waited for yet is dead.
bool is_alive(pid_t pid) {
  const std::string stat = read_file(fmt::format("/proc/{}/stat", pid)).value_or("");
  const std::size_t state = stat.rfind(") ");
  return state != std::string::npos && stat[state + 2] != 'Z';
}

template <class Condition>
bool soon(Condition condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(milliseconds(10));
  }
  return false;
}

class LlamaServerTest : public ::testing::Test {
 protected:
  LlamaServerTest() {
    ::setenv("FAKE_LLAMA_LOG", (folder_ / "starts").c_str(), 1);
    ::setenv("http_proxy", "http://127.0.0.1:1", 1);  // Must not be asked for loopback addresses.
  }
  ~LlamaServerTest() override {
    hub_.reset();
    ::unsetenv("http_proxy");
  }

  void SetUp() override {
    if (find_program("python3").empty()) GTEST_SKIP() << "there is no python3";
  }

  void start(LlamaServerOptions options = {}) {
    constexpr const char* kScript = HEARTH_SOURCE_DIR "/src/hub/upstream/testdata/fake_llama_server.py";
    ConductorParts parts;
    parts.ledger =
        std::move(*ledger::Ledger::open(folder_ / "ledger.db", ledger::Ledger::Mode::kReadWrite));
    parts.writer = std::make_unique<ledger::LedgerWriter>(*parts.ledger);
    parts.http = std::move(*net::HttpClient::create());
    parts.upstreams = std::move(*UpstreamDirectory::create({}, *parts.http));
    parts.llama = std::make_unique<LlamaServer>(find_program(kScript), std::move(options), *parts.http);
    llama_ = parts.llama.get();
    parts.upstream_desk =
        std::make_unique<UpstreamDesk>(*parts.upstreams, *parts.http, *parts.writer, parts.llama.get());
    parts.engine = std::make_unique<FakeEngine>([](FakeJob& job) { job.end(); });
    auto source = std::make_unique<FakeSource>();
    source->add("tiny", std::make_shared<FakeModel>());
    for (const char* const name : {"alpha", "beta", "slow", "crash-at-start", "crash-mid", "never-opens", "hangs"}) {
      source->add_foreign(name);
    }
    parts.shelf = std::make_unique<ModelShelf>(std::move(source), ShelfOptions{});
    hub_ = std::make_unique<Conductor>(std::move(parts), ConductorOptions{});
  }

  std::shared_ptr<CollectingSink> ask(const std::string& model) {
    auto sink = std::make_shared<CollectingSink>();
    const auto id = hub_->chat({.model = model, .messages = {{.content = "Who?"}}}, sink);
    EXPECT_TRUE(id) << (id ? "" : id.error().message);
    if (id) last_id_ = *id;
    return sink;
  }
  std::shared_ptr<CollectingSink> answered(const std::string& model) {
    auto sink = ask(model);
    EXPECT_TRUE(sink->wait());
    EXPECT_EQ(sink->n_last_calls(), 1);
    return sink;
  }
  std::string error_of(const std::string& model) {
    const auto sink = answered(model);
    return sink->error() ? sink->error()->message : "";
  }
  // "PID MODEL" of each start so far.
  std::vector<std::pair<pid_t, std::string>> starts() {
    std::vector<std::pair<pid_t, std::string>> all;
    std::istringstream log(read_file(folder_ / "starts").value_or(""));
    pid_t pid = 0;
    for (std::string model; log >> pid >> model;) all.emplace_back(pid, model);
    return all;
  }

  TempFolder folder_;
  LlamaServer* llama_ = nullptr;
  std::unique_ptr<Conductor> hub_;
  RequestId last_id_{};
};

TEST_F(LlamaServerTest, RunsWhatTheEngineCant) {
  start();
  EXPECT_TRUE(starts().empty()) << "nothing is started before it is needed";
  const auto sink = answered("alpha");
  EXPECT_THAT(sink->text(), StartsWith("alpha says "));
  EXPECT_EQ(sink->receipt()->model, "alpha");
  EXPECT_EQ(sink->receipt()->upstream, "llama-server");
  EXPECT_THAT(sink->receipt()->place, HasSubstr("on this machine"));
  EXPECT_EQ(sink->receipt()->bytes_out, 0U);
  EXPECT_EQ(answered("alpha")->text(), sink->text()) << "the same process";
  EXPECT_EQ(starts().size(), 1U);
  ASSERT_EQ(hub_->upstreams().size(), 1U);
  EXPECT_THAT(hub_->upstreams()[0].kind, HasSubstr("runs alpha"));
  for (const ModelEntry& entry : hub_->models()) EXPECT_EQ(entry.problem, "") << entry.name;
}

TEST_F(LlamaServerTest, SwapsWhenAnotherModelIsAskedForButNeverWhileOneRuns) {
  start();
  const auto slow = ask("slow");
  ASSERT_TRUE(slow->wait_for_text("slow "));
  const auto other = ask("alpha");
  const auto again = ask("slow");
  ASSERT_TRUE(slow->wait() && other->wait() && again->wait());
  EXPECT_THAT(slow->text(), StartsWith("slow says "));
  EXPECT_THAT(other->text(), StartsWith("alpha says "));
  EXPECT_THAT(again->text(), StartsWith("slow says ")) << "in the order in which they came";
  const auto all = starts();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[1].second, "alpha");
  EXPECT_FALSE(is_alive(all[0].first));
}

TEST_F(LlamaServerTest, ACrashAtTheStartIsOneErrorWithItsLastWords) {
  start();
  EXPECT_THAT(error_of("crash-at-start"),
              AllOf(HasSubstr("'crash-at-start'"), HasSubstr("status 3"), HasSubstr("tensor 'blk.0.x' is strange")));
  EXPECT_THAT(error_of("crash-at-start"), HasSubstr("status 3")) << "the second start comes at once";
  EXPECT_NE(error_of("crash-at-start"), "");
  EXPECT_NE(error_of("crash-at-start"), "");
  EXPECT_THAT(error_of("crash-at-start"), HasSubstr("in a row")) << "then it rests";
  EXPECT_THAT(hub_->upstreams()[0].problem, HasSubstr("status 3"));
}

TEST_F(LlamaServerTest, ACrashMidStreamIsOneErrorAndARestart) {
  start();
  const auto sink = answered("crash-mid");
  EXPECT_EQ(sink->text(), "crash-mid ");
  ASSERT_TRUE(sink->error());
  EXPECT_THAT(sink->error()->message,
              AllOf(HasSubstr("'crash-mid'"), HasSubstr("signal 6"), HasSubstr("GGML_ASSERT failed")));
  EXPECT_THAT(answered("crash-mid")->text(), "crash-mid ") << "it was started again";
  EXPECT_EQ(starts().size(), 2U);
}

TEST_F(LlamaServerTest, APortThatNeverOpensIsGivenUp) {
  start({.start_timeout = milliseconds(6'000)});
  EXPECT_THAT(error_of("never-opens"), AllOf(HasSubstr("did not become ready"), HasSubstr("loads never-opens")));
  ASSERT_EQ(starts().size(), 1U);
  EXPECT_TRUE(soon([&] { return !is_alive(starts()[0].first); }));
}

TEST_F(LlamaServerTest, AServerThatHangsIsGivenUp) {
  start({.start_timeout = milliseconds(6'000)});
  EXPECT_THAT(error_of("hangs"), HasSubstr("did not become ready"));
  EXPECT_THAT(answered("alpha")->text(), StartsWith("alpha says ")) << "and in nobody's way";
}

TEST_F(LlamaServerTest, IsStoppedWhenIdle) {
  start({.idle_stop = milliseconds(200)});
  answered("alpha");
  EXPECT_TRUE(soon([&] { return !is_alive(starts()[0].first); }));
  EXPECT_TRUE(soon([&] { return llama_->bytes_used() == 0; }));
}

TEST_F(LlamaServerTest, IsStoppedWhenItsMemoryIsWanted) {
  start();
  answered("beta");
  EXPECT_EQ(llama_->bytes_used(), 1000U);
  llama_->stop_if_idle();
  EXPECT_TRUE(soon([&] { return llama_->bytes_used() == 0; }));
}

TEST_F(LlamaServerTest, ARunningRequestIsNotStoppedForMemory) {
  start();
  const auto slow = ask("slow");
  ASSERT_TRUE(slow->wait_for_text("slow "));
  llama_->stop_if_idle();
  ASSERT_TRUE(slow->wait());
  EXPECT_THAT(slow->text(), StartsWith("slow says "));
}

TEST_F(LlamaServerTest, WhoWaitsForAStartMayLeave) {
  start();
  const auto sink = ask("never-opens");
  ASSERT_TRUE(sink->wait_for_status());
  hub_->cancel(last_id_);
  ASSERT_TRUE(sink->wait());
  EXPECT_EQ(sink->error()->code, Code::kCancelled);
}

TEST_F(LlamaServerTest, EndsWithTheHub) {
  start();
  answered("alpha");
  const pid_t pid = starts()[0].first;
  EXPECT_TRUE(is_alive(pid));
  hub_.reset();
  EXPECT_FALSE(is_alive(pid));
}

TEST_F(LlamaServerTest, TheHubMayEndWhileItStarts) {
  start();
  const auto sink = ask("never-opens");
  ASSERT_TRUE(soon([&] { return !starts().empty(); }));
  hub_.reset();
  EXPECT_EQ(sink->n_last_calls(), 1);
  EXPECT_FALSE(is_alive(starts()[0].first));
}

TEST_F(LlamaServerTest, WithoutItTheErrorNamesItAsTheWayOut) {
  start();
  hub_.reset();
  ConductorParts parts;
  parts.ledger = std::move(*ledger::Ledger::open(folder_ / "other.db", ledger::Ledger::Mode::kReadWrite));
  parts.writer = std::make_unique<ledger::LedgerWriter>(*parts.ledger);
  parts.engine = std::make_unique<FakeEngine>([](FakeJob& job) { job.end(); });
  auto source = std::make_unique<FakeSource>();
  source->add_foreign("alpha");
  parts.shelf = std::make_unique<ModelShelf>(std::move(source), ShelfOptions{});
  Conductor hub(std::move(parts), {});
  const auto id = hub.chat({.model = "alpha", .messages = {{.content = "Who?"}}}, std::make_shared<CollectingSink>());
  ASSERT_FALSE(id);
  EXPECT_EQ(id.error().code, Code::kUnsupported);
  EXPECT_THAT(id.error().message, AllOf(HasSubstr("architecture"), HasSubstr("llama-server")));
}

TEST(ChildProcess, SaysWhyItCantBeStarted) {
  const auto started = ChildProcess::start({.program = "/nowhere/llama-server"});
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, Code::kNotFound);
}

TEST(ChildProcess, KeepsItsLastLinesOnly) {
  auto child = std::move(*ChildProcess::start(
      {.program = find_program("sh"), .args = {"-c", "i=0; while [ $i -lt 200 ]; do echo line $i; i=$((i+1)); done; "
                                                     "printf 'the last\\377'; exit 7"}}));
  ASSERT_TRUE(soon([&] { return child->has_ended(); }));
  EXPECT_EQ(child->how_it_ended(), "ended with status 7");
  EXPECT_TRUE(soon([&] { return child->last_words(2) == "line 199 | the last\xEF\xBF\xBD"; })) << child->last_words(2);
}

// A program that dies without a word takes its child with it.
TEST(ChildProcess, DiesWithItsParent) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t parent = ::fork();
  if (parent == 0) {
    auto child = ChildProcess::start({.program = find_program("sleep"), .args = {"100"}});
    const pid_t pid = child ? (*child)->pid() : 0;
    (void)!::write(ends[1], &pid, sizeof pid);
    ::kill(::getpid(), SIGKILL);
  }
  pid_t pid = 0;
  ASSERT_EQ(::read(ends[0], &pid, sizeof pid), static_cast<ssize_t>(sizeof pid));
  ::waitpid(parent, nullptr, 0);
  ASSERT_GT(pid, 0);
  EXPECT_TRUE(soon([&] { return !is_alive(pid); }));
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace hearth::hub
