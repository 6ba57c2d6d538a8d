// Embeddings through a real hub with a small random encoder, and the desk's limits.
#include "hub/embedding_desk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <future>

#include "base/temp_folder_for_test.h"
#include "hub/create_hub.h"
#include "hub/fakes_for_test.h"
#include "model/encoder_for_test.h"
#include "model/random_model.h"

namespace hearth::hub {
namespace {

using ::testing::HasSubstr;

class Embedding : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(folder_ / "models");
    ASSERT_TRUE(model::make_test_encoder().write(folder_ / "models" / "tiny-encoder.gguf"));
    ASSERT_TRUE(model::write_random_model(
        folder_ / "models" / "tiny-chat.gguf",
        {.n_layers = 1, .d_model = 256, .d_ff = 256, .n_heads = 4, .n_kv_heads = 4, .n_vocab = 512}));
  }

  store::CatalogueEntry entry() const {
    const auto path = folder_ / "models" / "tiny-encoder.gguf";
    return {.name = "tiny-encoder",
            .path = path,
            .bytes = std::filesystem::file_size(path),
            .architecture = "bert"};
  }
  std::unique_ptr<Hub> open_hub() const {
    HubOptions options;
    options.catalogue.folders = {folder_ / "models"};
    options.catalogue.scan_other_programs = false;
    options.engine.n_threads = 1;
    options.engine.kv_bytes_max = std::uint64_t{16} << 20;
    options.ledger_path = folder_ / "ledger.sqlite";
    auto hub = create_hub(std::move(options));
    EXPECT_TRUE(hub) << hub.error().message;
    return *std::move(hub);
  }
  // Submits by `submit` and waits for whichever way the answer comes.
  template <class Answer = Embeddings, class Submit>
  static Result<Answer> answer_of(Submit submit) {
    auto promise = std::make_shared<std::promise<Result<Answer>>>();
    auto future = promise->get_future();
    const auto taken =
        submit([promise](Result<Answer> made) { promise->set_value(std::move(made)); });
    if (!taken) return std::unexpected(taken.error());
    return future.get();
  }
  static Result<Embeddings> ask(Hub& hub, EmbeddingRequest request) {
    return answer_of([&](EmbeddingDone done) { return hub.embed(std::move(request), done); });
  }

  // The JSON that the ledger has under this id.
  std::string receipt_of(const std::string& id) const {
    const auto ledger =
        ledger::Ledger::open(folder_ / "ledger.sqlite", ledger::Ledger::Mode::kReadOnly);
    EXPECT_TRUE(ledger) << ledger.error().message;
    const auto row = (*ledger)->receipt(id);
    return row ? row->json : row.error().message;
  }
  static Result<Ranking> rank(Hub& hub, RerankRequest request) {
    return answer_of<Ranking>(
        [&](RerankDone done) { return hub.rerank(std::move(request), done); });
  }

  TempFolder folder_;
};

TEST_F(Embedding, IsMadeOfTextsAndTokensAlike) {
  const auto hub = open_hub();
  const auto made = ask(*hub, {.model = "tiny-encoder",
                               .inputs = {"The cat sat", std::vector<text::TokenId>{2, 4, 5, 7, 3},
                                          "the dogs"},
                               .client = "ann"});
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_EQ(made->vectors.size(), 3U);
  EXPECT_EQ(made->vectors[0], made->vectors[1]);
  EXPECT_NE(made->vectors[0], made->vectors[2]);
  EXPECT_EQ(made->prompt_tokens, 15U);
  EXPECT_THAT(receipt_of(made->receipt_id), HasSubstr(R"("model":"tiny-encoder")"));
  EXPECT_THAT(receipt_of(made->receipt_id), HasSubstr(R"("prompt_tokens":15)"));
  EXPECT_THAT(receipt_of(made->receipt_id), HasSubstr(R"("client":"ann")"));
  for (const ModelEntry& listed : hub->models()) {
    EXPECT_EQ(listed.loaded, listed.name == "tiny-encoder") << listed.name;
    EXPECT_EQ(listed.problem, "");
  }
}

TEST_F(Embedding, RefusesWhatIsNoEncoderAndWhatIsTooLong) {
  const auto hub = open_hub();
  const auto refusal = [&](EmbeddingRequest request, Code code) {
    const auto made = ask(*hub, std::move(request));
    EXPECT_FALSE(made);
    EXPECT_EQ(made.error().code, code) << made.error().message;
    return made.error().message;
  };
  EXPECT_THAT(refusal({.model = "tiny-chat", .inputs = {"a"}}, Code::kInvalidArgument),
              HasSubstr("'tiny-chat' chats and makes no embeddings"));
  EXPECT_THAT(refusal({.model = "auto", .inputs = {"a"}}, Code::kInvalidArgument),
              HasSubstr("name the model"));
  EXPECT_THAT(refusal({.model = "none", .inputs = {"a"}}, Code::kNotFound), HasSubstr("none"));
  EXPECT_THAT(refusal({.model = "tiny-encoder"}, Code::kInvalidArgument), HasSubstr("0 texts"));
  std::string text;
  for (int i = 0; i < 31; ++i) text += "the ";
  EXPECT_THAT(refusal({.model = "tiny-encoder", .inputs = {"a", text}}, Code::kInvalidArgument),
              HasSubstr("input 1: the input has 33 tokens, which exceeds the available context size of 32"));
}

TEST_F(Embedding, RanksDocumentsWithModelsThatDo) {
  ASSERT_TRUE(
      model::make_test_encoder({.pooling = 4}).write(folder_ / "models" / "tiny-ranker.gguf"));
  std::filesystem::copy_file(std::filesystem::path(HEARTH_SOURCE_DIR) /
                                 "tests/architectures/qwen3-reranker.gguf",
                             folder_ / "models" / "qwen3-reranker.gguf");
  const auto hub = open_hub();
  const auto ranking = rank(*hub, {.model = "tiny-ranker",
                                   .query = "the cat",
                                   .documents = {"The cat sat", "dogs", "The cat sat"}});
  ASSERT_TRUE(ranking) << ranking.error().message;
  ASSERT_EQ(ranking->scores.size(), 3U);
  EXPECT_EQ(ranking->scores[0], ranking->scores[2]);
  EXPECT_NE(ranking->scores[0], ranking->scores[1]);
  EXPECT_EQ(ranking->prompt_tokens, 8U + 7 + 8);
  EXPECT_THAT(receipt_of(ranking->receipt_id), HasSubstr(R"("model":"tiny-ranker")"));

  const auto by_decoder =
      rank(*hub, {.model = "qwen3-reranker", .query = "eat", .documents = {"tea", "o", "tea"}});
  ASSERT_TRUE(by_decoder) << by_decoder.error().message;
  EXPECT_EQ(by_decoder->scores[0], by_decoder->scores[2]);
  EXPECT_NE(by_decoder->scores[0], by_decoder->scores[1]);
  EXPECT_GT(by_decoder->scores[0], 0.0F);
  EXPECT_LT(by_decoder->scores[0], 1.0F);

  const auto refusal = [&](RerankRequest request, Code code) {
    const auto made = rank(*hub, std::move(request));
    EXPECT_FALSE(made);
    EXPECT_EQ(made.error().code, code) << made.error().message;
    return made.error().message;
  };
  const auto wrong = Code::kInvalidArgument;
  EXPECT_THAT(refusal({.model = "tiny-chat", .query = "a", .documents = {"b"}}, wrong),
              HasSubstr("'tiny-chat' chats and ranks no documents"));
  EXPECT_THAT(refusal({.model = "tiny-encoder", .query = "a", .documents = {"b"}}, wrong),
              HasSubstr("ranks nothing"));
  EXPECT_THAT(refusal({.model = "auto", .query = "a", .documents = {"b"}}, wrong),
              HasSubstr("name the model"));
  EXPECT_THAT(refusal({.model = "tiny-ranker", .query = "a"}, wrong), HasSubstr("0 documents"));
  std::string text;
  for (int i = 0; i < 30; ++i) text += "the ";
  EXPECT_THAT(refusal({.model = "tiny-ranker", .query = "a", .documents = {"b", text}}, wrong),
              HasSubstr("document 1 with the query: the input has 34 tokens"));
  const auto vectors = ask(*hub, {.model = "tiny-ranker", .inputs = {"a"}});
  ASSERT_FALSE(vectors);
  EXPECT_THAT(vectors.error().message, HasSubstr("/v1/rerank"));
}

TEST_F(Embedding, LeavesChatToChatModels) {
  const auto hub = open_hub();
  const auto sink = std::make_shared<CollectingSink>();
  ChatRequest request{.model = "tiny-encoder", .messages = {{.content = "hello"}}};
  const auto id = hub->chat(std::move(request), sink);
  ASSERT_FALSE(id);
  EXPECT_EQ(id.error().code, Code::kInvalidArgument);
  EXPECT_THAT(id.error().message, HasSubstr("can't chat"));
}

TEST_F(Embedding, EndsWhenNobodyWaits) {
  EmbeddingDesk desk({.n_threads = 1});
  std::stop_source source;
  source.request_stop();
  const auto made = answer_of([&](EmbeddingDone done) {
    return desk.submit(entry(), {.inputs = {"the"}, .stop = source.get_token()}, done);
  });
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::kCancelled);
}

TEST_F(Embedding, HasABoundedQueueAndAnswersAllOfItAtTheEnd) {
  std::promise<void> gate;
  std::atomic<int> n_answered = 0;
  auto desk = std::make_unique<EmbeddingDesk>(EmbeddingDeskOptions{.queue_max = 2, .n_threads = 1});
  const auto opened = gate.get_future().share();
  const auto submit = [&](EmbeddingDone done) {
    return desk->submit(entry(), {.inputs = {"the"}}, std::move(done));
  };
  // The first is answered, and holds the desk while it is; two more fill the queue.
  std::promise<void> reached;
  ASSERT_TRUE(submit([&](const auto&) {
    reached.set_value();
    opened.wait();
    ++n_answered;
  }));
  reached.get_future().wait();
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(submit([&](const auto&) { ++n_answered; }));
  const auto refused = submit([](const auto&) {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnavailable);
  gate.set_value();
  desk.reset();
  EXPECT_EQ(n_answered, 3);
}

TEST_F(Embedding, LetsGoOfTheOldestEncoderPastTheBudget) {
  EmbeddingDesk desk({.budget = std::make_shared<store::MemoryBudget>(1), .n_threads = 1});
  const auto second_path = folder_ / "models" / "second.gguf";
  std::filesystem::copy_file(entry().path, second_path);
  store::CatalogueEntry second = entry();
  second.path = second_path;
  for (const auto& each : {entry(), second}) {
    EXPECT_TRUE(answer_of(
        [&](EmbeddingDone done) { return desk.submit(each, {.inputs = {"the"}}, done); }));
    EXPECT_TRUE(desk.is_loaded(each.path.string()));
  }
  EXPECT_FALSE(desk.is_loaded(entry().path.string()));
}

}  // namespace
}  // namespace hearth::hub
