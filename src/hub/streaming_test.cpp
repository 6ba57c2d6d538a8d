// Answers of models whose weights are still being read: the same bits, and what happens when the file
// or the disk fails, the client leaves, or a second one comes meanwhile.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <mutex>

#include "base/temp_folder_for_test.h"
#include "hub/create_hub.h"
#include "hub/fakes_for_test.h"
#include "model/random_model.h"

namespace hearth::hub {
namespace {

using ::testing::HasSubstr;

// A disk that stands still when it is told to.
class Disk {
 public:
  int read(std::span<const std::byte> bytes) {
    std::unique_lock lock(mutex_);
    ++n_begun_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return n_let_ > 0; });
    --n_let_;
    ++n_reads_;
    bytes_read_ += bytes.size();
    const bool fails = is_broken_;
    lock.unlock();
    return fails ? EIO : bring_in(bytes);
  }
  void let(std::size_t n) { set([&] { n_let_ += n; }); }
  void hold() { set([&] { n_let_ = 0; }); }
  void break_down() { set([&] { is_broken_ = true; }); }
  void repair() { set([&] { is_broken_ = false; }); }
  void wait_for_begun(std::size_t n) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return n_begun_ >= n; });
  }
  std::size_t bytes_read() {
    const std::lock_guard lock(mutex_);
    return bytes_read_;
  }

 private:
  template <class Change>
  void set(Change change) {
    const std::lock_guard lock(mutex_);
    change();
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t n_let_ = 0, n_begun_ = 0, n_reads_ = 0, bytes_read_ = 0;
  bool is_broken_ = false;
};

constexpr std::size_t kAll = 1'000'000;

class StreamingTest : public ::testing::Test {
 protected:
  StreamingTest() {
    std::filesystem::create_directories(folder_ / "models");
    options_.catalogue.folders = {folder_ / "models"};
    options_.catalogue.scan_other_programs = false;
    options_.engine.n_threads = 2;
    options_.engine.kv_bytes_max = std::uint64_t{32} << 20;
    options_.ledger_path = folder_ / "ledger.db";
    options_.load.reader = std::make_shared<PageReader>(PageReaderOptions{
        .n_threads = 1, .bring_in = [this](auto bytes) { return disk_.read(bytes); }});
    add_model("large");
  }
  ~StreamingTest() override {
    disk_.let(kAll);
    hub_.reset();
    options_.load.reader.reset();
  }

  std::filesystem::path path(const std::string& name) const { return folder_ / "models" / (name + ".gguf"); }
  // Some 14 MB, so that it is read in several pieces.
  void add_model(const std::string& name, std::uint64_t seed = 1) {
    const auto written = model::write_random_model(
        path(name), {.type = "F16", .n_layers = 6, .d_model = 256, .d_ff = 1024, .n_heads = 8, .n_kv_heads = 4,
                     .head_dim = 32, .n_vocab = 4096, .n_context = 512, .seed = seed});
    ASSERT_TRUE(written) << written.error().message;
    const int fd = ::open(path(name).c_str(), O_RDONLY | O_CLOEXEC);
    ASSERT_EQ(::fdatasync(fd), 0);  // Pages that the disk does not have can't leave memory.
    ::close(fd);
  }
  void start() {
    auto hub = create_hub(options_);
    ASSERT_TRUE(hub) << hub.error().message;
    hub_ = std::move(*hub);
  }
  static ChatRequest question(std::string model = "large") {
    ChatRequest request{.model = std::move(model), .messages = {{.content = "Say something."}}, .max_tokens = 8};
    request.sampling.temperature = 0;
    return request;
  }
  std::shared_ptr<CollectingSink> begin(ChatRequest request, RequestId* id = nullptr) {
    auto sink = std::make_shared<CollectingSink>();
    const auto begun = hub_->chat(std::move(request), sink);
    EXPECT_TRUE(begun);
    if (id != nullptr && begun) *id = *begun;
    return sink;
  }
  static std::string text_of(const std::shared_ptr<CollectingSink>& sink) {
    EXPECT_TRUE(sink->wait());
    EXPECT_FALSE(sink->error()) << sink->error()->message;
    return sink->text();
  }
  static std::string error_of(const std::shared_ptr<CollectingSink>& sink) {
    EXPECT_TRUE(sink->wait());
    return sink->error() ? sink->error()->message : "no error";
  }

  Disk disk_;
  TempFolder folder_;
  HubOptions options_;
  std::unique_ptr<Hub> hub_;
};

TEST_F(StreamingTest, AnswersAreThoseOfAModelThatIsThere) {
  start();
  disk_.let(kAll);
  const std::string streamed = text_of(begin(question()));
  hub_.reset();
  HubOptions whole = options_;
  whole.load.reader = std::make_shared<PageReader>();
  options_ = whole;
  start();
  EXPECT_EQ(text_of(begin(question())), streamed);
  EXPECT_EQ(text_of(begin(question())), streamed);
}

TEST_F(StreamingTest, TwoWhoAskShareOneStream) {
  start();
  const auto first = begin(question()), second = begin(question());
  disk_.wait_for_begun(1);
  disk_.let(kAll);
  EXPECT_EQ(text_of(first), text_of(second));
  EXPECT_LE(disk_.bytes_read(), std::filesystem::file_size(path("large")));
  EXPECT_EQ(text_of(begin(question())), text_of(first));
  EXPECT_LE(disk_.bytes_read(), std::filesystem::file_size(path("large")));
}

TEST_F(StreamingTest, AFileCutOffWhileItIsReadEndsTheRequestsThatWaitAndNothingElse) {
  add_model("other", 2);
  start();
  const auto first = begin(question()), second = begin(question());
  disk_.wait_for_begun(1);
  std::filesystem::resize_file(path("large"), 3 << 20);
  disk_.let(kAll);
  EXPECT_THAT(error_of(first), HasSubstr("large.gguf' was cut off"));
  EXPECT_THAT(error_of(second), HasSubstr("large.gguf"));
  text_of(begin(question("other")));
  EXPECT_TRUE(hub_->health());
}

TEST_F(StreamingTest, AFailingDiskIsAnErrorAndTheNextRequestTriesAgain) {
  start();
  disk_.break_down();
  disk_.let(kAll);
  EXPECT_THAT(error_of(begin(question())), HasSubstr("can't be read"));
  disk_.repair();
  text_of(begin(question()));
}

TEST_F(StreamingTest, WhoLeavesWhileItIsReadLeavesAtOnce) {
  start();
  RequestId id{};
  const auto sink = begin(question(), &id);
  disk_.wait_for_begun(1);
  hub_->cancel(id);
  EXPECT_THAT(error_of(sink), HasSubstr("cancelled"));
  disk_.let(kAll);
  text_of(begin(question()));  // What was read for the first one serves the next.
  EXPECT_LE(disk_.bytes_read(), std::filesystem::file_size(path("large")));
}

TEST_F(StreamingTest, OthersAreAnsweredWhileItIsRead) {
  add_model("other", 2);
  start();
  disk_.let(kAll);
  text_of(begin(question("other")));
  disk_.hold();
  const auto other = begin([] {
    ChatRequest request = question("other");
    request.max_tokens = 200;
    request.ignore_eos = true;
    return request;
  }());
  const auto large = begin(question());
  text_of(other);
  EXPECT_EQ(large->n_last_calls(), 0);
  disk_.let(kAll);
  text_of(large);
}

TEST_F(StreamingTest, TheReportSaysHowFarItIs) {
  start();
  const auto sink = begin(question());
  disk_.wait_for_begun(1);
  const auto report = [&] { return hub_->memory().models.front(); };
  EXPECT_EQ(report().residence, Residence::kStreaming);
  disk_.let(kAll);
  text_of(sink);
  EXPECT_EQ(report().residence, Residence::kCached);
}

TEST_F(StreamingTest, ModelsOverTheBudgetShrinkFromTheirEndsAndAnswerTheSame) {
  add_model("other", 2);
  options_.models_bytes_max = std::uint64_t{20} << 20;
  options_.give_back = GiveBack::kToDisk;
  disk_.let(kAll);
  start();
  const std::string first = text_of(begin(question())), second = text_of(begin(question("other")));
  // For requests: how much is read ahead of them, and in vain, depends on how busy the machine is.
  const std::uint64_t once = hub_->memory().read_bytes;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(text_of(begin(question())), first);
    EXPECT_EQ(text_of(begin(question("other"))), second);
  }
  const std::uint64_t per_switch = (hub_->memory().read_bytes - once) / 6;
  EXPECT_GT(disk_.bytes_read(), once);
  EXPECT_LT(per_switch, once / 2) << "what was left of a model was used";
  MemoryReport report = hub_->memory();
  for (int i = 0; i < 2000 && report.bytes_used > report.bytes_max; ++i) {  // A lease ends after the answer.
    std::this_thread::sleep_for(milliseconds(1));
    report = hub_->memory();
  }
  EXPECT_LE(report.bytes_used, report.bytes_max);
  for (const ModelMemory& memory : report.models) {
    EXPECT_LE(memory.ready_bytes, memory.bytes);
    EXPECT_LE(memory.cached_bytes, memory.ready_bytes + (4 << 20)) << memory.name;
    EXPECT_LE(memory.mapped_bytes, memory.ready_bytes + (2 << 20)) << memory.name;
    EXPECT_GT(memory.n_uses, 3U);
  }
}

TEST_F(StreamingTest, SwitchesThatRepeatAreReadAhead) {
  for (const std::uint64_t seed : {2U, 3U}) add_model("model-" + std::to_string(seed), seed);
  options_.models_bytes_max = std::uint64_t{34} << 20;
  options_.give_back = GiveBack::kToDisk;
  disk_.let(kAll);
  start();
  for (int i = 0; i < 6; ++i) {
    for (const char* name : {"large", "model-2", "model-3"}) {
      text_of(begin(question(name)));
      std::this_thread::sleep_for(milliseconds(60));  // Somebody reads the answer.
    }
  }
  const MemoryReport report = hub_->memory();
  EXPECT_GE(report.guesses, 9U);
  EXPECT_EQ(report.guess_hits, report.guesses);
  EXPECT_GT(report.guessed_bytes, 0U);
}

TEST_F(StreamingTest, ManyAtOnceOverTheBudgetGetTheirOwnAnswers) {
  for (const std::uint64_t seed : {2U, 3U}) add_model("model-" + std::to_string(seed), seed);
  options_.models_bytes_max = std::uint64_t{24} << 20;
  options_.give_back = GiveBack::kToDisk;
  disk_.let(kAll);
  start();
  const char* const names[] = {"large", "model-2", "model-3"};
  std::map<std::string, std::string> alone;
  for (const char* name : names) alone[name] = text_of(begin(question(name)));
  std::vector<std::thread> clients;
  for (int client = 0; client < 4; ++client) {
    clients.emplace_back([&, client] {
      for (int i = 0; i < 6; ++i) {
        const char* const name = names[(client + i * 2) % 3];
        EXPECT_EQ(text_of(begin(question(name))), alone[name]);
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_TRUE(hub_->health());
}

}  // namespace
}  // namespace hearth::hub
