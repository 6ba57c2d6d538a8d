// Pins, what this machine can run, and conversations on the hub: kept, listed, private, within their limits.
#include "server/page_routes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "api/hearth/recommendation.h"
#include "base/file.h"
#include "base/temp_folder_for_test.h"
#include "net/http_test_client.h"
#include "server/server.h"
#include "server/test_support/fake_hub.h"

namespace hearth::server {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kPath = "/hearth/v1/conversations/";

class Conversations : public testing::Test {
 protected:
  net::ServerResponse ask(std::string method, const std::string& id, std::string body = "", std::string_view owner = "") {
    net::ServerRequest request{.method = std::move(method), .target = std::string(kPath) + id, .body = std::move(body)};
    return answer_conversations(services_, owner, id, request);
  }
  static std::string conversation(std::string_view id, std::string_view title, int updated_at) {
    return fmt::format(R"({{"id":"{}","title":"{}","updated_at":{},"nodes":{{}}}})", id, title, updated_at);
  }

  const TempFolder folder_;
  const fs::path root_ = folder_ / "conversations";
  PageServices services_{.conversations = std::make_shared<ConversationFolder>(root_), .roofs = nullptr};
};

TEST_F(Conversations, ArePutListedReadAndDeleted) {
  EXPECT_THAT(ask("GET", "").body, HasSubstr(R"("conversations":[])"));
  EXPECT_FALSE(fs::exists(root_));  // Nothing is made before something is kept.
  EXPECT_EQ(ask("PUT", "c-1", conversation("c-1", "first", 1)).status, 200U);
  EXPECT_EQ(ask("PUT", "c-2", conversation("c-2", "second", 2)).status, 200U);
  EXPECT_EQ(ask("PUT", "c-1", conversation("c-1", "first again", 3)).status, 200U);
  const std::string list = ask("GET", "").body;
  EXPECT_THAT(list, HasSubstr(R"("conversations":[{"id":"c-1","title":"first again","updated_at":3,"bytes":)"));
  EXPECT_THAT(list, HasSubstr(fmt::format(R"("folder":"{}")", root_.string())));
  EXPECT_EQ(ask("GET", "c-2").body, conversation("c-2", "second", 2));
  EXPECT_EQ(ask("DELETE", "c-2").status, 200U);
  EXPECT_EQ(ask("DELETE", "c-2").status, 404U);
  EXPECT_EQ(ask("GET", "c-2").status, 404U);
}

TEST_F(Conversations, AreForTheirOwnersEyesAlone) {
  ASSERT_EQ(ask("PUT", "c-1", conversation("c-1", "mine", 1), "ann").status, 200U);
  EXPECT_THAT(ask("GET", "", "", "ben").body, Not(HasSubstr("mine")));
  EXPECT_EQ(ask("GET", "c-1", "", "ben").status, 404U);
  EXPECT_EQ(ask("GET", "c-1").status, 404U);
  const fs::path folder = services_.conversations->folder("ann");
  EXPECT_EQ(fs::status(root_).permissions(), fs::perms::owner_all);
  EXPECT_EQ(fs::status(folder).permissions(), fs::perms::owner_all);
  EXPECT_EQ(fs::status(folder / "c-1.json").permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(Conversations, NamesAndBodiesAreChecked) {
  for (const char* id : {"../c-1", "..", "C-1", "a/b", "a.json", "a\n", "\xC3\xA9"}) {
    EXPECT_EQ(ask("PUT", id, conversation("c-1", "t", 1)).status, 400U) << id;
    EXPECT_EQ(ask("GET", id).status, 404U) << id;
    EXPECT_EQ(ask("DELETE", id).status, 404U) << id;
  }
  const std::string long_id(65, 'a');
  EXPECT_EQ(ask("PUT", long_id, conversation(long_id, "t", 1)).status, 400U);
  for (const std::string& body : {std::string("[]"), std::string("{}"), conversation("c-2", "t", 1), conversation("c-1", "t", -1),
                                  conversation("c-1", std::string(1001, 't'), 1), std::string(R"({"id":"c-1","title":7,"updated_at":1})")}) {
    EXPECT_EQ(ask("PUT", "c-1", body).status, 400U) << body.substr(0, 80);
  }
  EXPECT_THAT(ask("PUT", "c-1", std::string(api::hearth::kConversationBytesMax + 1, ' ')).body, HasSubstr("at most 8388608"));
  EXPECT_FALSE(fs::exists(root_));
}

TEST_F(Conversations, ThereIsALimitToThem) {
  for (std::size_t i = 0; i < api::hearth::kConversationsMax; ++i) {
    fs::create_directories(root_);
    std::ofstream(root_ / fmt::format("f-{}.json", i));
  }
  const auto refused = ask("PUT", "c-1", conversation("c-1", "t", 1));
  EXPECT_EQ(refused.status, 429U);
  EXPECT_THAT(refused.body, HasSubstr("delete some"));
  EXPECT_EQ(ask("PUT", "f-1", conversation("f-1", "t", 1)).status, 200U);  // In another's place.
}

TEST_F(Conversations, WhatIsNoneOfOursIsSkipped) {
  ASSERT_EQ(ask("PUT", "c-1", conversation("c-1", "t", 1)).status, 200U);
  ASSERT_TRUE(write_file_atomic(root_ / "x.json", "no head\n{}"));
  ASSERT_TRUE(write_file_atomic(root_ / "y.json", "no line"));
  fs::copy_file(root_ / "c-1.json", root_ / "c-2.json");  // Its head names another.
  fs::create_directory(root_ / "z.json");
  EXPECT_EQ(services_.conversations->list("").size(), 1U);
  EXPECT_EQ(ask("GET", "y").status, 500U);
}

TEST(Recommendation, NamesTheLargestThatFitsAndIsFastEnough) {
  const device::MemoryInfo memory{.total_bytes = 16'000'000'000, .available_bytes = 8'000'000'000};
  device::KeptRoofs kept{.roofs = {.n_threads = 2, .read_gb_s = 10, .int8_gop_s = 1000, .f32_gop_s = 1, .f64_gop_s = 1, .stream_gb_s = 1},
                         .cpu = "a CPU", .at_unix_s = 7};
  // 75 % of 10 GB/s over 2.5 GB are 3 tokens a second.
  const std::vector<hub::ModelEntry> here = {{.name = "Qwen3-4B-Q4_K_M"}};
  const std::string slow = api::hearth::render_recommendation(memory, kept, here);
  EXPECT_THAT(slow, HasSubstr(R"("name":"Qwen3-4B-Q4_K_M","pull":"Qwen/Qwen3-4B-GGUF:Q4_K_M","type":"Q4_K_M","params":4000000000,)"));
  EXPECT_THAT(slow, HasSubstr(R"("decode_tokens_per_s":3,"prompt_tokens_per_s":50,"here":true,"best":false)"));
  EXPECT_THAT(slow, testing::ContainsRegex(R"("name":"Llama-3.2-1B[^}]*"fits":"now"[^}]*"best":true)"));
  EXPECT_THAT(slow, testing::ContainsRegex(R"("name":"Qwen3-8B-Q4_K_M"[^}]*"fits":"now")"));
  EXPECT_THAT(slow, testing::ContainsRegex(R"("name":"Qwen3-14B-Q4_K_M"[^}]*"fits":"if_freed")"));
  EXPECT_THAT(slow, testing::ContainsRegex(R"("name":"Qwen3-32B-Q4_K_M"[^}]*"fits":"no")"));
  kept.roofs.read_gb_s = 60;
  EXPECT_THAT(api::hearth::render_recommendation(memory, kept, {}), testing::ContainsRegex(R"("name":"Qwen3-8B[^}]*"best":true)"));
  const std::string unknown = api::hearth::render_recommendation(memory, std::nullopt, {});
  EXPECT_THAT(unknown, HasSubstr(R"("roofs":null)"));
  EXPECT_THAT(unknown, Not(HasSubstr(R"("best":true)")));
}

TEST(Recommendation, TheTableHolds) {
  for (const api::hearth::KnownModel& model : api::hearth::known_models()) {
    EXPECT_LE(model.active_params, model.params) << model.name;
    const double bits = model.gigabytes * 8 / model.params;
    EXPECT_TRUE(bits > 4 && bits < 9) << model.name << ": " << bits << " bits a weight";
    EXPECT_GT(model.kv_bytes_per_token, 0U) << model.name;
    EXPECT_EQ(model.pull.find(' '), std::string_view::npos);
  }
}

TEST(PageRoutes, AServerHasThem) {
  const TempFolder folder;
  const fs::path root = folder / "hub";
  FakeHub hub;
  ServerOptions options;
  options.keys = {{.name = "ann", .secret = "sixteen-letters!"}, {.name = "ben", .secret = "sixteen-others!!"}};
  options.page = {.conversations = std::make_shared<ConversationFolder>(root), .roofs = std::make_shared<device::RoofKeeper>(root / "roofs", 1)};
  const auto server = *Server::create(options, hub);
  const auto ask = [&](std::string_view head, std::string_view body = "", std::string_view key = "sixteen-letters!") {
    net::TestClient client(server->port());
    EXPECT_TRUE(client.send(fmt::format("{} HTTP/1.1\r\nHost: localhost\r\nx-api-key: {}\r\nContent-Length: {}\r\n\r\n{}", head, key,
                                        body.size(), body)));
    return client.read_response();
  };
  EXPECT_EQ(ask("POST /hearth/v1/pins", R"({"model":"fake","pinned":true})").status, 200);
  EXPECT_TRUE(hub.pinned);
  EXPECT_EQ(ask("POST /hearth/v1/pins", R"({"model":"cold","pinned":true})").status, 503);
  EXPECT_EQ(ask("POST /hearth/v1/pins", R"({"model":"fake"})").status, 400);
  EXPECT_EQ(ask("GET /hearth/v1/roofs").body, R"({"roofs":null})");
  EXPECT_THAT(ask("GET /hearth/v1/recommendation").body, HasSubstr(R"("context_tokens":8192)"));

  constexpr std::string_view kBody = R"({"id":"c-1","title":"t","updated_at":1})";
  EXPECT_EQ(ask("PUT /hearth/v1/conversations/c-1", kBody).status, 200);
  EXPECT_EQ(ask("GET /hearth/v1/conversations/c-1").body, kBody);
  EXPECT_EQ(ask("GET /hearth/v1/conversations/c-1", "", "sixteen-others!!").status, 404);
  EXPECT_EQ(ask("GET /hearth/v1/conversations/c-1", "", "sixteen-nobody's").status, 401);
  EXPECT_EQ(ask("PUT /hearth/v1/conversations/..%2Fc-1", kBody).status, 400);
  EXPECT_EQ(ask("POST /hearth/v1/conversations/c-1", kBody).status, 405);
  EXPECT_EQ(ask("DELETE /hearth/v1/conversations/c-1").status, 200);
  EXPECT_EQ(answer_conversations({}, "", "", {.method = "GET"}).status, 404U);
  EXPECT_EQ(answer_roofs({}).status, 404U);
  EXPECT_EQ(answer_measure({}).status, 404U);
}

}  // namespace
}  // namespace hearth::server
