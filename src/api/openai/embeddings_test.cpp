// /v1/embeddings: what is read, what is refused in which words, and what goes out.
#include "api/openai/embeddings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/result.h"

namespace hearth::api::openai {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Tokens = std::vector<text::TokenId>;

EmbeddingsRequest parsed(const std::string& body) {
  const auto request = parse_embeddings(body);
  EXPECT_TRUE(request) << request.error().message;
  return request ? *request : EmbeddingsRequest{};
}

std::vector<hub::EmbeddingInput> inputs(const std::string& input) {
  return parsed(R"({"model":"m","input":)" + input + "}").work.inputs;
}

TEST(Embeddings, ReadsTextsAndTokens) {
  EXPECT_THAT(inputs(R"("one")"), ElementsAre(hub::EmbeddingInput("one")));
  EXPECT_THAT(inputs(R"(["one","two"])"),
              ElementsAre(hub::EmbeddingInput("one"), hub::EmbeddingInput("two")));
  EXPECT_THAT(inputs("[1,2]"), ElementsAre(hub::EmbeddingInput(Tokens{1, 2})));
  EXPECT_THAT(inputs("[[1],[2,3]]"),
              ElementsAre(hub::EmbeddingInput(Tokens{1}), hub::EmbeddingInput(Tokens{2, 3})));
}

TEST(Embeddings, ReadsHowTheAnswerIsWanted) {
  const auto plain = parsed(R"({"model":"m","input":"a","user":"u","dimensions":null})");
  EXPECT_EQ(plain.model, "m");
  EXPECT_EQ(plain.work.model, "m");
  EXPECT_FALSE(plain.is_base64);
  EXPECT_FALSE(plain.dimensions);
  const auto all =
      parsed(R"({"model":"m","input":"a","encoding_format":"base64","dimensions":3})");
  EXPECT_TRUE(all.is_base64);
  EXPECT_EQ(all.dimensions, 3U);
}

struct Refusal {
  const char* body;
  const char* param;
  const char* code;
};

TEST(Embeddings, RefusesWithTheParameterThatIsWrong) {
  const Refusal refusals[] = {
      {R"([])", "", "invalid_json"},
      {R"({"model":"m",)", "", "invalid_json"},
      {R"({"input":"a"})", "model", "missing_required_parameter"},
      {R"({"model":1,"input":"a"})", "model", "invalid_type"},
      {R"({"model":"m"})", "input", "missing_required_parameter"},
      {R"({"model":"m","input":null})", "input", "missing_required_parameter"},
      {R"({"model":"m","input":7})", "input", "invalid_type"},
      {R"({"model":"m","input":{}})", "input", "invalid_type"},
      {R"({"model":"m","input":""})", "input", "invalid_value"},
      {R"({"model":"m","input":["a",""]})", "input", "invalid_value"},
      {R"({"model":"m","input":[]})", "input", "empty_array"},
      {R"({"model":"m","input":[[]]})", "input", "invalid_value"},
      {R"({"model":"m","input":[1,"a"]})", "input", "invalid_type"},
      {R"({"model":"m","input":[1,-1]})", "input", "invalid_value"},
      {R"({"model":"m","input":[1.5]})", "input", "invalid_type"},
      {R"({"model":"m","input":[9999999999]})", "input", "invalid_value"},
      {R"({"model":"m","input":"a","encoding_format":"int8"})", "encoding_format", "invalid_value"},
      {R"({"model":"m","input":"a","dimensions":0})", "dimensions", "invalid_value"},
      {R"({"model":"m","input":"a","dimensions":"3"})", "dimensions", "invalid_type"},
  };
  for (const Refusal& expected : refusals) {
    const auto request = parse_embeddings(expected.body);
    ASSERT_FALSE(request) << expected.body;
    EXPECT_EQ(request.error().status, 400U);
    EXPECT_EQ(request.error().param, expected.param) << expected.body;
    EXPECT_EQ(request.error().code, expected.code) << expected.body;
  }
}

TEST(Embeddings, BoundsTheNumberOfTexts) {
  const auto body = [](std::size_t n) {
    std::string text = R"({"model":"m","input":["a")";
    for (std::size_t i = 1; i < n; ++i) text += R"(,"a")";
    return text + "]}";
  };
  EXPECT_TRUE(parse_embeddings(body(hub::kEmbeddingTextsMax)));
  const auto refused = parse_embeddings(body(hub::kEmbeddingTextsMax + 1));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("at most 2048"));
}

TEST(Embeddings, WritesAListOfVectors) {
  const auto body = render_embeddings({.model = "m"}, {{{0.6F, -0.8F}, {1, 0}}, 7});
  EXPECT_EQ(*body,
            R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.6,-0.8]},)"
            R"({"object":"embedding","index":1,"embedding":[1,0]}],"model":"m",)"
            R"("usage":{"prompt_tokens":7,"total_tokens":7}})");
}

TEST(Embeddings, WritesFloatsAsBase64) {
  // 1.0F is 00 00 80 3F.
  for (const auto& [vector, text] : {std::pair(std::vector{1.0F}, "AACAPw=="),
                                     std::pair(std::vector{1.0F, 1.0F}, "AACAPwAAgD8="),
                                     std::pair(std::vector{1.0F, 1.0F, 1.0F}, "AACAPwAAgD8AAIA/")}) {
    const auto body = render_embeddings({.model = "m", .is_base64 = true}, {{vector}, 1});
    EXPECT_THAT(*body, HasSubstr(std::string("\"embedding\":\"") + text + "\""));
  }
}

TEST(Embeddings, ShortensVectorsAtLengthOne) {
  const hub::Embeddings made{{{0.48F, 0.64F, 0.6F}}, 1};
  EXPECT_THAT(*render_embeddings({.model = "m", .dimensions = 1}, made),
              HasSubstr(R"("embedding":[1])"));
  EXPECT_THAT(*render_embeddings({.model = "m", .dimensions = 3}, made),
              HasSubstr(R"("embedding":[0.48,0.64,0.6])"));
  const auto refused = render_embeddings({.model = "m", .dimensions = 4}, made);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().param, "dimensions");
  EXPECT_THAT(refused.error().message, HasSubstr("has 3, and 4 were asked for"));
}

TEST(Embeddings, NamesTheParameterOfTheHubsErrors) {
  const auto of = [](Code code, std::string message) {
    return embeddings_error(Error{code, std::move(message)});
  };
  EXPECT_EQ(of(Code::kInvalidArgument, "the model 'm' chats").param, "model");
  const ApiError long_text = of(
      Code::kInvalidArgument, "input 3: it exceeds the available context size of 512 tokens");
  EXPECT_EQ(long_text.param, "input");
  EXPECT_EQ(long_text.code, "context_length_exceeded");
  EXPECT_EQ(of(Code::kNotFound, "no model named 'x'").code, "model_not_found");
  EXPECT_EQ(of(Code::kUnavailable, "busy").status, 503U);
}

}  // namespace
}  // namespace hearth::api::openai
