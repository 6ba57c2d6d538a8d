// /api/pull and /api/delete over real sockets, with an emulated registry behind them.
#include "server/pull_answer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>
#include <sstream>

#include "base/temp_folder_for_test.h"
#include "net/http_test_client.h"
#include "server/server.h"
#include "server/test_support/fake_hub.h"
#include "store/registry_for_test.h"

namespace hearth::server {
namespace {

namespace fs = std::filesystem;
using net::TestClient;
using net::TestResponse;
using testing::HasSubstr;

// Whether no pull holds the file any more.
bool is_free(const fs::path& partial) {
  const int fd = ::open(partial.c_str(), O_RDWR | O_CLOEXEC);
  const bool free = fd >= 0 && ::flock(fd, LOCK_EX | LOCK_NB) == 0;
  if (fd >= 0) ::close(fd);
  return free;
}

class PullAnswerTest : public testing::Test {
 protected:
  PullAnswerTest() {
    hub::PullsOptions options{.from = {.folder = folder_.path(), .ollama_url = registry_.url()},
                              .report_every = std::chrono::milliseconds(0),
                              .pause = std::chrono::milliseconds(1)};
    pulls_ = std::make_unique<hub::Pulls>(options, hub_);
    server_ = *Server::create({.pulls = pulls_.get()}, hub_);
  }
  ~PullAnswerTest() override {
    server_.reset();
    pulls_.reset();
  }

  bool send(TestClient& client, std::string_view method, std::string_view path, std::string_view body) {
    return client.send(fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}", method, path,
                                   body.size(), body));
  }
  TestResponse request(std::string_view method, std::string_view path, std::string_view body) {
    TestClient client(server_->port());
    EXPECT_TRUE(send(client, method, path, body));
    return client.read_response();
  }

  const TempFolder folder_;
  store::RegistryForTest registry_{std::string(200'000, 'm')};
  FakeHub hub_;
  std::unique_ptr<hub::Pulls> pulls_;
  std::unique_ptr<Server> server_;
};

TEST_F(PullAnswerTest, StreamsLinesAsOllamaHasThem) {
  registry_.breaks_once = true;
  const TestResponse r = request("POST", "/api/pull", R"({"model":"tiny:1b"})");
  EXPECT_EQ(r.status, 200);
  EXPECT_THAT(r.head, HasSubstr("Content-Type: application/x-ndjson"));
  std::vector<std::string> lines;
  std::istringstream in(r.body);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  ASSERT_GE(lines.size(), 5U);
  const std::size_t n = lines.size();
  EXPECT_EQ(lines[0], R"({"status":"pulling manifest"})");
  EXPECT_EQ(lines[n - 4], fmt::format(R"({{"status":"pulling {}","digest":"sha256:{}","total":200000,"completed":200000}})",
                                      registry_.digest().substr(0, 12), registry_.digest()));
  EXPECT_EQ(lines[n - 3], R"({"status":"verifying sha256 digest"})");
  EXPECT_EQ(lines[n - 2], R"({"status":"writing manifest"})");
  EXPECT_EQ(lines[n - 1], R"({"status":"success"})");
}

TEST_F(PullAnswerTest, AWholeAnswerIsTheEnd) {
  const TestResponse done = request("POST", "/api/pull", R"({"name":"tiny:1b","stream":false})");
  EXPECT_EQ(done.status, 200);
  EXPECT_EQ(done.body, R"({"status":"success"})");
  const TestResponse none = request("POST", "/api/pull", R"({"model":"tiny:9b","stream":false})");
  EXPECT_EQ(none.status, 404);
  EXPECT_EQ(none.body, R"({"error":"there is no 'library/tiny:9b' in the registry"})");
}

TEST_F(PullAnswerTest, MistakesHaveAStatusAndWhatFailsLaterALine) {
  EXPECT_EQ(request("POST", "/api/pull", R"({"model":"../x"})").status, 400);
  EXPECT_EQ(request("POST", "/api/pull", R"({"stream":true})").status, 400);
  EXPECT_EQ(request("POST", "/api/pull", R"({"model":"https://x.org/f.gguf"})").status, 400);
  const TestResponse none = request("POST", "/api/pull", R"({"model":"tiny:9b"})");
  EXPECT_EQ(none.status, 200);
  EXPECT_THAT(none.body, HasSubstr("{\"error\":\"there is no 'library/tiny:9b' in the registry\"}\n"));
  EXPECT_EQ(request("DELETE", "/api/delete", R"({"model":"none"})").status, 404);
  EXPECT_EQ(request("DELETE", "/api/delete", R"({"model":"fake"})").status, 403);
}

TEST_F(PullAnswerTest, AClientThatLeavesEndsThePullAndTheNextGoesOn) {
  registry_.stalls = true;
  {
    TestClient client(server_->port());
    ASSERT_TRUE(send(client, "POST", "/api/pull", R"({"model":"tiny:1b"})"));
    ASSERT_TRUE(client.await("\"completed\":100000}"));
  }
  ASSERT_TRUE(net::eventually([&] { return is_free(folder_ / "ollama/library/tiny/tiny-1b.gguf.partial"); }));
  registry_.stalls = false;
  EXPECT_THAT(request("POST", "/api/pull", R"({"model":"tiny:1b"})").body, HasSubstr("success"));
  EXPECT_THAT(registry_.starts(), testing::ElementsAre(0U, 100'000U));
}

}  // namespace
}  // namespace hearth::server
