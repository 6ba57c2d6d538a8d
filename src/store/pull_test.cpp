// Pulling from registries that behave and ones that don't, over real sockets.
#include "store/pull.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/file.h"
#include "base/temp_folder_for_test.h"
#include "net/loopback_server.h"
#include "store/pulled.h"

namespace hearth::store {
namespace {

namespace fs = std::filesystem;
using net::LoopbackConnection;
using net::LoopbackServer;
using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;

std::string hex_digest(std::string_view bytes) {
  const Sha256 digest = sha256(bytes);
  return to_hex(digest);
}

std::string make_bytes(std::size_t n) {
  std::string bytes(n, '\0');
  for (std::size_t i = 0; i < n; ++i) bytes[i] = static_cast<char>(i * 131 + i / 251);
  return bytes;
}

// The value of "Range: bytes=N-" in a request; 0 if there is none.
std::size_t range_start(const std::string& head) {
  const std::size_t at = head.find("bytes=");
  return at == std::string::npos ? 0 : std::strtoul(head.c_str() + at + 6, nullptr, 10);
}

void answer_part(LoopbackConnection& connection, const std::string& bytes, std::size_t from, std::size_t n) {
  connection.write(fmt::format("HTTP/1.1 {} X\r\nContent-Length: {}\r\n{}Connection: close\r\n\r\n",
                               from > 0 ? 206 : 200, bytes.size() - from,
                               from > 0 ? fmt::format("Content-Range: bytes {}-{}/{}\r\n", from, bytes.size() - 1,
                                                      bytes.size())
                                        : ""));
  connection.write(std::string_view(bytes).substr(from, n));
}

class PullTest : public testing::Test {
 protected:

  PullPlan plan_of(const std::string& url, const std::string& bytes) const {
    PullPlan plan{.name = "a model", .files = {}};
    plan.files.push_back(
        {.url = url, .token = {}, .path = folder_ / "a" / "model.gguf", .bytes = bytes.size(), .sha256 = hex_digest(bytes)});
    return plan;
  }
  std::string pulled() const { return read_file(folder_ / "a" / "model.gguf").value_or("nothing"); }
  fs::path partial() const { return folder_ / "a" / "model.gguf.partial"; }

  PullControl quick() const {
    PullControl control;
    control.attempts_max = 3;
    control.pause = milliseconds(1);
    return control;
  }

  TempFolder folder_;
};

TEST(PullName, FormsAndMistakes) {
  const struct {
    const char* name;
    PullFrom from;
    const char* repository;
    const char* tag;
  } good[] = {{"bartowski/Qwen3-GGUF", PullFrom::kHuggingFace, "bartowski/Qwen3-GGUF", ""},
              {"hf.co/a/b:Q4_K_M", PullFrom::kHuggingFace, "a/b", "Q4_K_M"},
              {"https://huggingface.co/a/b/tree/main", PullFrom::kHuggingFace, "a/b", ""},
              {"qwen3", PullFrom::kOllama, "library/qwen3", ""},
              {"qwen3:0.6b", PullFrom::kOllama, "library/qwen3", "0.6b"},
              {"ollama:me/mine:x", PullFrom::kOllama, "me/mine", "x"},
              {"https://x.org/f.gguf?download=1", PullFrom::kUrl, "https://x.org/f.gguf?download=1", ""}};
  for (const auto& row : good) {
    const auto name = parse_pull_name(row.name);
    ASSERT_TRUE(name) << row.name;
    EXPECT_EQ(name->from, row.from) << row.name;
    EXPECT_EQ(name->repository, row.repository);
    EXPECT_EQ(name->tag, row.tag);
  }
  for (const char* bad : {"", "/", "a/", "../b", "a/../b", "a/b/c", "a:", "a/b:../x", "hf:alone", "a/.b", "https://x.org/",
                          "https://x.org/..gguf/", "a\nb"}) {
    const auto name = parse_pull_name(bad);
    ASSERT_FALSE(name) << bad;
    EXPECT_EQ(name.error().code, Code::kInvalidArgument);
  }
}

std::string listing_of(const std::vector<std::string>& names) {
  nlohmann::json siblings = nlohmann::json::array();
  for (const std::string& name : names) {
    siblings.push_back({{"rfilename", name}, {"size", 10}, {"lfs", {{"sha256", std::string(64, 'a')}}}});
  }
  return nlohmann::json{{"sha", "0123abcd"}, {"siblings", siblings}}.dump();
}

std::vector<std::string> chosen(const std::vector<std::string>& names, const std::string& tag) {
  PullOptions options;
  options.folder = "/m";
  const auto plan = plan_huggingface({PullFrom::kHuggingFace, "o/r", tag}, options, listing_of(names));
  if (!plan) return {plan.error().message};
  std::vector<std::string> out;
  for (const PullFile& file : plan->files) out.push_back(file.path.lexically_relative("/m/huggingface/o/r").string());
  return out;
}

TEST(PullPlanTest, HuggingFaceChoosesByTag) {
  using ::testing::ElementsAre;
  const std::vector<std::string> many = {"m-Q8_0.gguf", "m-Q4_K_M.gguf", "m-f16.gguf", "mmproj-m-Q4_K_M.gguf", "README.md"};
  EXPECT_THAT(chosen(many, ""), ElementsAre("m-Q4_K_M.gguf"));
  EXPECT_THAT(chosen(many, "q8_0"), ElementsAre("m-Q8_0.gguf"));
  EXPECT_THAT(chosen(many, "m-f16.gguf"), ElementsAre("m-f16.gguf"));
  EXPECT_THAT(chosen(many, "Q3_K"), ElementsAre(HasSubstr("m-Q8_0.gguf, m-Q4_K_M.gguf")));
  EXPECT_THAT(chosen({"x/y-IQ2.gguf"}, ""), ElementsAre("x/y-IQ2.gguf"));
  EXPECT_THAT(chosen({"m-Q4_K_M-00001-of-00002.gguf", "m-Q4_K_M-00002-of-00002.gguf", "m-Q8_0.gguf"}, ""),
              ElementsAre("m-Q4_K_M-00001-of-00002.gguf", "m-Q4_K_M-00002-of-00002.gguf"));
  EXPECT_THAT(chosen({"m-Q4_K_M.gguf", "m-Q4_K_M-00001-of-00001.gguf"}, ""), ElementsAre(HasSubstr("no one model")));
  // As its makers wrote it.
  EXPECT_THAT(chosen({"config.json", "model.safetensors", "pytorch_model.bin", "onnx/model.json", "1_Pooling/config.json"}, ""),
              ElementsAre("config.json", "model.safetensors", "1_Pooling/config.json"));
  // A listing is a stranger's text.
  EXPECT_THAT(chosen({"../../evil.gguf", "a/../b.gguf", "/etc/x.gguf"}, ""), ElementsAre(HasSubstr("neither")));
}

TEST(PullPlanTest, OllamaTakesTheModelLayer) {
  const std::string digest(64, 'b');
  const std::string manifest = fmt::format(
      R"({{"layers":[{{"mediaType":"application/vnd.ollama.image.license","digest":"sha256:{0}","size":1}},
          {{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:{0}","size":77}}]}})",
      digest);
  PullOptions options;
  options.folder = "/m";
  options.ollama_url = "http://registry/";
  const auto plan = plan_ollama({PullFrom::kOllama, "library/qwen3", "0.6b"}, options, manifest);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->files[0].url, "http://registry/v2/library/qwen3/blobs/sha256:" + digest);
  EXPECT_EQ(plan->files[0].path, "/m/ollama/library/qwen3/qwen3-0.6b.gguf");
  EXPECT_EQ(plan->files[0].bytes, 77U);
  for (const char* bad : {"", "[]", "{}", R"({"layers":3})", R"({"layers":[{"mediaType":1}]})",
                          R"({"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:../../x"}]})"}) {
    EXPECT_FALSE(plan_ollama({PullFrom::kOllama, "library/x", ""}, options, bad)) << bad;
  }
}

TEST_F(PullTest, GoesOnWhereALineBroke) {
  const std::string bytes = make_bytes(300'000);
  std::atomic<int> n_requests = 0;
  LoopbackServer server([&](LoopbackConnection& connection) {
    const auto request = connection.read_request();
    ++n_requests;
    answer_part(connection, bytes, range_start(request.head), 70'000);  // Then hangs up.
  });
  ASSERT_TRUE(pull(plan_of(server.url("/m"), bytes), quick()));
  EXPECT_EQ(pulled(), bytes);
  EXPECT_GE(n_requests, 5);
  EXPECT_FALSE(fs::exists(partial()));
  // What is here is not fetched again.
  const int n_before = n_requests;
  ASSERT_TRUE(pull(plan_of(server.url("/m"), bytes), quick()));
  EXPECT_EQ(n_requests, n_before);
}

TEST_F(PullTest, GoesOnInALaterRun) {
  const std::string bytes = make_bytes(100'000);
  std::atomic<bool> is_up = false;
  std::atomic<std::size_t> asked_from = 0;
  LoopbackServer server([&](LoopbackConnection& connection) {
    const auto request = connection.read_request();
    if (!is_up && range_start(request.head) > 0) return;
    asked_from = range_start(request.head);
    answer_part(connection, bytes, asked_from, is_up ? bytes.size() : 40'000);
  });
  const auto first = pull(plan_of(server.url("/m"), bytes), quick());
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().code, Code::kUnavailable);
  EXPECT_THAT(first.error().message, HasSubstr("pull again to go on"));
  EXPECT_EQ(fs::file_size(partial()), 40'000U);
  is_up = true;
  ASSERT_TRUE(pull(plan_of(server.url("/m"), bytes), quick()));
  EXPECT_EQ(asked_from, 40'000U);
  EXPECT_EQ(pulled(), bytes);
}

TEST_F(PullTest, StartsOverWhereRangesAreNotKnown) {
  const std::string bytes = make_bytes(50'000);
  LoopbackServer server([&](LoopbackConnection& connection) {
    connection.read_request();
    answer_part(connection, bytes, 0, bytes.size());
  });
  fs::create_directories(partial().parent_path());
  std::ofstream(partial()) << "something else";
  ASSERT_TRUE(pull(plan_of(server.url("/m"), bytes), quick()));
  EXPECT_EQ(pulled(), bytes);
}

TEST_F(PullTest, DamagedBytesGetNoName) {
  const std::string bytes = make_bytes(50'000);
  std::string damaged = bytes;
  damaged[25'000] ^= 1;
  LoopbackServer server([&](LoopbackConnection& connection) {
    const auto request = connection.read_request();
    answer_part(connection, damaged, range_start(request.head), damaged.size());
  });
  const auto result = pull(plan_of(server.url("/m"), bytes), quick());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kCorrupt);
  EXPECT_EQ(pulled(), "nothing");
  EXPECT_EQ(fs::file_size(partial()), 0U);
}

TEST_F(PullTest, MoreThanListedIsRefused) {
  const std::string bytes = make_bytes(5'000);
  LoopbackServer server([&](LoopbackConnection& connection) {
    connection.read_request();
    answer_part(connection, bytes + bytes, 0, 2 * bytes.size());
  });
  const auto result = pull(plan_of(server.url("/m"), bytes), quick());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kCorrupt);
}

TEST_F(PullTest, StopsAndKeepsWhatCame) {
  const std::string bytes = make_bytes(100'000);
  LoopbackServer server([&](LoopbackConnection& connection) {
    connection.read_request();
    answer_part(connection, bytes, 0, 60'000);
    connection.wait_for_hangup();
  });
  std::atomic<bool> stop = false;
  PullControl control = quick();
  control.is_stopped = [&] { return stop.load(); };
  control.on_progress = [&](const PullProgress& progress) { stop = progress.bytes == 60'000; };
  const auto result = pull(plan_of(server.url("/m"), bytes), control);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kCancelled);
  EXPECT_EQ(fs::file_size(partial()), 60'000U);
}

TEST_F(PullTest, TokensGoToTheirHostOnly) {
  const std::string bytes = make_bytes(1'000);
  std::mutex mutex;
  std::string own_head, other_head;
  LoopbackServer other([&](LoopbackConnection& connection) {
    const auto request = connection.read_request();
    const std::lock_guard lock(mutex);
    other_head = request.head;
    answer_part(connection, bytes, 0, bytes.size());
  });
  LoopbackServer own([&](LoopbackConnection& connection) {
    const auto request = connection.read_request();
    const std::lock_guard lock(mutex);
    own_head = request.head;
    connection.respond(302, "", fmt::format("Location: {}\r\n", other.url("/cdn")));
  });
  PullPlan plan = plan_of(own.url("/m"), bytes);
  plan.files[0].token = "secret-token";
  ASSERT_TRUE(pull(plan, quick()));
  const std::lock_guard lock(mutex);
  EXPECT_THAT(own_head, HasSubstr("Bearer secret-token"));
  EXPECT_THAT(other_head, HasSubstr("GET /cdn"));
  EXPECT_THAT(other_head, Not(HasSubstr("secret-token")));
}

TEST_F(PullTest, RefusalsSayWhatToDo) {
  std::atomic<int> status = 401;
  LoopbackServer server([&](LoopbackConnection& connection) {
    connection.read_request();
    connection.respond(status, "{}");
  });
  PullOptions options;
  options.folder = folder_.path();
  options.huggingface_url = server.url();
  const auto ask = [&] { return plan_pull({PullFrom::kHuggingFace, "meta/gated", ""}, options).error(); };
  EXPECT_EQ(ask().code, Code::kPermissionDenied);
  EXPECT_THAT(ask().message, HasSubstr("HF_TOKEN"));
  status = 404;
  EXPECT_EQ(ask().code, Code::kNotFound);
  status = 503;
  EXPECT_EQ(ask().code, Code::kUnavailable);
  options.is_offline = true;
  EXPECT_THAT(ask().message, HasSubstr("HF_HUB_OFFLINE"));
}

TEST_F(PullTest, AFullDiskIsSaidBefore) {
  PullPlan plan = plan_of("http://127.0.0.1:1/never", "x");
  plan.files[0].bytes = std::uint64_t{1} << 60;
  const auto result = pull(plan, quick());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kOutOfBudget);
  EXPECT_FALSE(fs::exists(partial()));
}

TEST_F(PullTest, TwoAtOnceDoNotMix) {
  const std::string bytes = make_bytes(2'000);
  std::atomic<bool> has_begun = false;
  std::atomic<bool> may_end = false;
  LoopbackServer server([&](LoopbackConnection& connection) {
    connection.read_request();
    has_begun = true;
    while (!may_end && connection.pause(milliseconds(1))) {
    }
    answer_part(connection, bytes, 0, bytes.size());
  });
  const PullPlan plan = plan_of(server.url("/m"), bytes);
  Result<> first;
  std::thread other([&] { first = pull(plan, quick()); });
  while (!has_begun) std::this_thread::sleep_for(milliseconds(1));
  const auto second = pull(plan, quick());
  may_end = true;
  other.join();
  ASSERT_TRUE(first);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr("already"));
  EXPECT_EQ(pulled(), bytes);
}

TEST(Pulled, NamesOfWhatLiesInTheFolder) {
  EXPECT_EQ(pulled_model_name("ollama/library/qwen3/qwen3-0.6b.gguf"), "qwen3:0.6b");
  EXPECT_EQ(pulled_model_name("ollama/library/qwen3/qwen3.gguf"), "qwen3:latest");
  EXPECT_EQ(pulled_model_name("ollama/me/mine/mine-x.gguf"), "me/mine:x");
  EXPECT_EQ(pulled_model_name("huggingface/o/r/sub/m-Q8_0-00001-of-00002.gguf"), "m-Q8_0");
  EXPECT_EQ(pulled_model_name("url/f.gguf"), "f");
  for (const char* name : {"qwen3:0.6b", "ollama:library/qwen3:0.6b", "registry.ollama.ai/library/qwen3:0.6B"}) {
    EXPECT_TRUE(is_pulled_as(name, "ollama/library/qwen3/qwen3-0.6b.gguf")) << name;
  }
  EXPECT_TRUE(is_pulled_as("qwen3", "ollama/library/qwen3/qwen3.gguf"));
  EXPECT_FALSE(is_pulled_as("qwen3", "ollama/library/qwen3/qwen3-0.6b.gguf"));
  EXPECT_TRUE(is_pulled_as("hf.co/O/R:q8_0", "huggingface/o/r/m-Q8_0.gguf"));
  EXPECT_TRUE(is_pulled_as("o/r", "huggingface/o/r/m-Q8_0.gguf"));
  EXPECT_FALSE(is_pulled_as("o/other", "huggingface/o/r/m-Q8_0.gguf"));
  EXPECT_FALSE(is_pulled_as("../x", "huggingface/o/r/m-Q8_0.gguf"));
}

TEST_F(PullTest, RemovesAllPartsAndNothingElse) {
  const fs::path model = folder_ / "huggingface/o/r";
  fs::create_directories(model);
  for (const char* name : {"m-00001-of-00002.gguf", "m-00002-of-00002.gguf.partial", "m2.gguf"}) std::ofstream(model / name) << "x";
  ASSERT_TRUE(remove_pulled(folder_.path(), model / "m-00001-of-00002.gguf"));
  EXPECT_FALSE(fs::exists(model / "m-00002-of-00002.gguf.partial"));
  EXPECT_TRUE(fs::exists(model / "m2.gguf"));
  ASSERT_TRUE(remove_pulled(folder_.path(), model / "m2.gguf"));
  EXPECT_FALSE(fs::exists(folder_ / "huggingface"));
  EXPECT_EQ(remove_pulled(folder_.path(), model / "m2.gguf").error().code, Code::kNotFound);
  EXPECT_EQ(remove_pulled(folder_.path(), folder_ / "../etc").error().code, Code::kNotFound);
}

}  // namespace
}  // namespace hearth::store
