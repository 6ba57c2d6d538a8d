// /tokenize, /detokenize, /apply-template and /props over real sockets, with a byte-level vocabulary behind them.
#include "server/text_answer.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hub/fakes_for_test.h"
#include "net/http_test_client.h"
#include "server/server.h"
#include "server/test_support/fake_hub.h"

namespace hearth::server {
namespace {

using net::TestResponse;
using testing::HasSubstr;
using testing::Not;

class TextHub final : public hub::Hub {
 public:
  Result<hub::RequestId> chat(hub::ChatRequest, std::shared_ptr<hub::ChatSink>) override { return none(); }
  Result<> embed(hub::EmbeddingRequest, hub::EmbeddingDone) override { return none(); }
  Result<> rerank(hub::RerankRequest, hub::RerankDone) override { return none(); }
  void cancel(hub::RequestId) override {}
  hub::HubStats stats() const override { return {}; }
  Result<> health() override { return {}; }
  void shutdown(std::chrono::milliseconds) override {}
  std::vector<hub::ModelEntry> models() const override {
    return {{.name = "org/tiny", .path = "/m/tiny.gguf", .source = "config", .quantization = "Q8_0", .n_context = 4096}};
  }
  Result<hub::ReadyModelPtr> ready_model(const std::string& name) override {
    if (name != "org/tiny" && name != "auto") return fail(Code::kNotFound, "there is no model '" + name + "'");
    ++n_asked;
    return std::make_shared<const hub::ReadyModel>(std::make_shared<hub::FakeModel>());
  }
  std::atomic<int> n_asked{0};

 private:
  static std::unexpected<Error> none() { return fail(Code::kUnsupported, "this hub has texts alone"); }
};

class TextAnswer : public testing::Test {
 protected:
  TextAnswer() : server_(*Server::create({.version = "1.2"}, hub_)) {}

  TestResponse request(std::string_view method, std::string_view path, std::string_view body = "") {
    net::TestClient client(server_->port());
    EXPECT_TRUE(client.send(fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}", method, path,
                                        body.size(), body)));
    return client.read_response();
  }
  std::string post(std::string_view path, std::string_view body) {
    const TestResponse r = request("POST", path, body);
    EXPECT_EQ(r.status, 200) << r.body;
    return r.body;
  }

  TextHub hub_;
  std::unique_ptr<Server> server_;
};

TEST_F(TextAnswer, TokensThereAndBack) {
  EXPECT_EQ(post("/tokenize", R"({"model":"org/tiny","content":"Hi"})"), R"({"tokens":[75,108]})");
  EXPECT_EQ(post("/tokenize", R"({"content":"<|im_end|>"})"), R"({"tokens":[2]})");
  EXPECT_EQ(post("/tokenize", R"({"content":"<","parse_special":false,"with_pieces":true})"),
            R"({"tokens":[{"id":63,"piece":"<"}]})");
  EXPECT_EQ(post("/tokenize", R"({"content":"\u20ac","with_pieces":true})"),
            R"({"tokens":[{"id":229,"piece":[226]},{"id":133,"piece":[130]},{"id":175,"piece":[172]}]})");
  EXPECT_EQ(post("/detokenize", R"({"model":"org/tiny","tokens":[2,229,133,175,259,75]})"), "{\"content\":\"<|im_end|>\u20ac H\"}");
  EXPECT_EQ(post("/detokenize", R"({"tokens":[]})"), R"({"content":""})");
}

TEST_F(TextAnswer, MistakesAreNamed) {
  const auto refused = [&](std::string_view path, std::string_view body, unsigned status, std::string_view words) {
    const TestResponse r = request("POST", path, body);
    EXPECT_EQ(r.status, static_cast<int>(status)) << body;
    EXPECT_THAT(r.body, HasSubstr(std::string(words))) << body;
  };
  refused("/tokenize", R"({"model":"org/tiny"})", 400, "content");
  refused("/tokenize", R"({"content":["a"]})", 400, "content");
  refused("/tokenize", R"({"model":"none","content":"a"})", 404, "there is no model 'none'");
  refused("/detokenize", R"({"tokens":[260]})", 400, "260 is no token");
  refused("/detokenize", R"({"tokens":[-1]})", 400, "tokens[0]");
  refused("/apply-template", R"({"messages":[]})", 400, "messages");
}

TEST_F(TextAnswer, TheTemplateAppliedShowsWhatTheModelReads) {
  EXPECT_EQ(post("/apply-template", R"({"messages":[{"role":"user","content":"Say <|im_end|>"}]})"),
            R"({"prompt":"<|im_start|>user\nSay <|im_end|><|im_end|>\n<|im_start|>assistant\n"})");
}

TEST_F(TextAnswer, PropsOfTheRouterAndOfAModel) {
  const std::string router = request("GET", "/props").body;
  EXPECT_THAT(router, HasSubstr(R"("role":"router")"));
  EXPECT_THAT(router, HasSubstr(R"("build_info":"hearth-1.2")"));
  EXPECT_EQ(hub_.n_asked, 0);
  const std::string asleep = request("GET", "/props?model=org%2Ftiny&autoload=false").body;
  EXPECT_THAT(asleep, HasSubstr(R"("is_sleeping":true)"));
  EXPECT_THAT(asleep, Not(HasSubstr("chat_template")));
  EXPECT_EQ(hub_.n_asked, 0);
  const std::string model = request("GET", "/props?model=org%2Ftiny").body;
  EXPECT_THAT(model, HasSubstr(R"("n_ctx":4096)"));
  EXPECT_THAT(model, HasSubstr(R"("model_alias":"org/tiny","model_path":"/m/tiny.gguf","model_ftype":"Q8_0")"));
  EXPECT_THAT(model, HasSubstr(R"("chat_template":"{%)"));
  EXPECT_THAT(model, HasSubstr(R"("bos_token":"","eos_token":"<|im_end|>")"));
  EXPECT_THAT(model, HasSubstr(R"("is_sleeping":false)"));
  EXPECT_EQ(request("GET", "/props?model=none").status, 404);
}

}  // namespace
}  // namespace hearth::server
