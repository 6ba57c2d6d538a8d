// /v1/rerank: what is read, what is refused in which words, and what goes out.
#include "api/rerank.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hearth::api::rerank {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Request parsed(const std::string& body) {
  const auto request = parse(body);
  EXPECT_TRUE(request) << request.error().message;
  return request ? *request : Request{};
}

TEST(Rerank, ReadsDocumentsAsTextsAndAsObjects) {
  const Request request =
      parsed(R"({"model":"m","query":"q","documents":["one",{"text":"two","id":1}],"top_n":null})");
  EXPECT_EQ(request.work.model, "m");
  EXPECT_EQ(request.work.query, "q");
  EXPECT_THAT(request.work.documents, ElementsAre("one", "two"));
  EXPECT_FALSE(request.top_n);
  EXPECT_FALSE(request.returns_documents);
}

struct Refusal {
  const char* body;
  const char* param;
};

TEST(Rerank, RefusesWithTheParameterThatIsWrong) {
  const Refusal refusals[] = {
      {R"([])", ""},
      {R"({"query":"q","documents":["a"]})", "model"},
      {R"({"model":"","query":"q","documents":["a"]})", "model"},
      {R"({"model":"m","documents":["a"]})", "query"},
      {R"({"model":"m","query":1,"documents":["a"]})", "query"},
      {R"({"model":"m","query":"q"})", "documents"},
      {R"({"model":"m","query":"q","documents":"a"})", "documents"},
      {R"({"model":"m","query":"q","documents":[]})", "documents"},
      {R"({"model":"m","query":"q","documents":["a",1]})", "documents[1]"},
      {R"({"model":"m","query":"q","documents":[{"body":"a"}]})", "documents[0].text"},
      {R"({"model":"m","query":"q","documents":["a"],"top_n":0})", "top_n"},
      {R"({"model":"m","query":"q","documents":["a"],"return_documents":1})", "return_documents"},
  };
  for (const Refusal& row : refusals) {
    const auto request = parse(row.body);
    ASSERT_FALSE(request) << row.body;
    EXPECT_EQ(request.error().status, 400) << row.body;
    EXPECT_EQ(request.error().param, row.param) << row.body;
  }
}

TEST(Rerank, BoundsTheNumberOfDocuments) {
  std::string list = "\"a\"";
  for (std::size_t i = 1; i < hub::kRerankDocumentsMax; ++i) list += ",\"a\"";
  const auto body = [&](const std::string& documents) {
    return R"({"model":"m","query":"q","documents":[)" + documents + "]}";
  };
  EXPECT_EQ(parsed(body(list)).work.documents.size(), hub::kRerankDocumentsMax);
  EXPECT_FALSE(parse(body(list + ",\"a\"")));
}

TEST(Rerank, AnswersTheBestFirst) {
  const hub::Ranking ranking{.scores = {-1.5F, 2, -1.5F, 0.25F}, .prompt_tokens = 9};
  Request request = parsed(R"({"model":"m","query":"q","documents":["a","b","c","d"],"top_n":3})");
  EXPECT_EQ(
      render(request, ranking),
      R"({"model":"m","object":"list","usage":{"prompt_tokens":9,"total_tokens":9},"results":[)"
      R"({"index":1,"relevance_score":2},{"index":3,"relevance_score":0.25},)"
      R"({"index":0,"relevance_score":-1.5}]})");
  request.top_n = 1;
  request.returns_documents = true;
  EXPECT_THAT(render(request, ranking),
              HasSubstr(R"([{"index":1,"relevance_score":2,"document":{"text":"b"}}])"));
}

TEST(Rerank, NamesTheDocumentsWhereTheyAreWrong) {
  EXPECT_EQ(error_of({Code::kInvalidArgument, "document 3 with the query: too long"}).param,
            "documents");
  EXPECT_EQ(error_of({Code::kInvalidArgument, "the model 'm' chats"}).param, "model");
}

}  // namespace
}  // namespace hearth::api::rerank
