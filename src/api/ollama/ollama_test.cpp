// Ollama's API: what is taken of a request, the lines of a stream, the lists.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include <sstream>

#include "api/ollama/chat_request.h"
#include "api/ollama/chat_writer.h"
#include "api/ollama/embed.h"
#include "api/ollama/models.h"

namespace hearth::api::ollama {
namespace {

using hub::Role;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

ChatCall parsed(Endpoint endpoint, std::string_view body) {
  auto call = parse_call(endpoint, body);
  EXPECT_TRUE(call.has_value()) << (call ? "" : call.error().message);
  return call ? *std::move(call) : ChatCall{};
}

std::string message_of(Endpoint endpoint, std::string_view body) {
  const auto call = parse_call(endpoint, body);
  EXPECT_FALSE(call.has_value());
  return call ? "" : call.error().message;
}

TEST(OllamaRequest, EveryFieldFindsItsPlace) {
  const ChatCall call = parsed(Endpoint::kChat, R"({"model":"m","messages":[{"role":"system","content":"s"},
    {"role":"user","content":"u","images":[]},
    {"role":"assistant","content":"","thinking":"Hm.","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]},
    {"role":"tool","content":"r","tool_name":"f"}],
    "options":{"temperature":0.1,"top_k":3,"top_p":0.5,"min_p":0.2,"repeat_penalty":1.1,"seed":7,"num_predict":12,
               "stop":["x"],"num_ctx":4096,"mirostat":0},
    "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],
    "format":{"type":"object"},"think":"low","keep_alive":"5m","stream":false,"logprobs":true,"top_logprobs":2})");
  const hub::ChatRequest& r = call.chat;
  EXPECT_FALSE(call.stream);
  ASSERT_EQ(r.messages.size(), 4U);
  EXPECT_EQ(r.messages[2].reasoning, "Hm.");
  EXPECT_EQ(r.messages[2].tool_calls[0].arguments, R"({"a":1})");
  EXPECT_EQ(r.messages[3].role, Role::kTool);
  EXPECT_EQ(r.messages[3].name, "f");
  EXPECT_EQ(r.sampling.seed, 7U);
  EXPECT_TRUE(r.has_seed && r.has_temperature && r.wants_logprobs);
  EXPECT_EQ(r.max_tokens, 12U);
  EXPECT_THAT(r.stop, ElementsAre("x"));
  EXPECT_EQ(r.tools.size(), 1U);
  EXPECT_NE(r.grammar, nullptr);
  EXPECT_EQ(r.reasoning_effort, "low");
}

TEST(OllamaRequest, PromptsAreMessagesUnlessRaw) {
  const ChatCall laid_out = parsed(Endpoint::kGenerate, R"({"model":"m","prompt":"p","system":"s"})");
  EXPECT_TRUE(laid_out.stream);
  ASSERT_EQ(laid_out.chat.messages.size(), 2U);
  EXPECT_EQ(laid_out.chat.messages[1].content, "p");
  const ChatCall raw = parsed(Endpoint::kGenerate, R"({"model":"m","prompt":"p","raw":true})");
  EXPECT_EQ(raw.chat.prompt, "p");
  EXPECT_TRUE(raw.chat.messages.empty());
}

TEST(OllamaRequest, NothingAskedOnlyLoads) {
  for (const auto& [endpoint, body] :
       {std::pair{Endpoint::kGenerate, R"({"model":"m"})"}, std::pair{Endpoint::kChat, R"({"model":"m","messages":[]})"}}) {
    const ChatCall call = parsed(endpoint, body);
    EXPECT_TRUE(call.chat.counts_only);
    EXPECT_FALSE(call.stream);
    const Choice choice;
    EXPECT_THAT(call.make_writer({})->whole({&choice, 1}, {}, {}), HasSubstr(R"("done_reason":"load")"));
  }
}

TEST(OllamaRequest, RefusesInOneSentence) {
  EXPECT_THAT(message_of(Endpoint::kChat, R"({"messages":[]})"), HasSubstr("'model'"));
  EXPECT_THAT(message_of(Endpoint::kChat, R"({"model":"m","messages":[{"role":"user","content":"a","images":["x"]}]})"),
              HasSubstr("read text only"));
  EXPECT_THAT(message_of(Endpoint::kGenerate, R"({"model":"m","prompt":"a","suffix":"b"})"), HasSubstr("'suffix'"));
  EXPECT_THAT(message_of(Endpoint::kGenerate, R"({"model":"m","prompt":"a","format":"xml"})"), HasSubstr("'xml'"));
  EXPECT_THAT(message_of(Endpoint::kChat, R"({"model":"m","options":{"temperature":9}})"),
              HasSubstr("'options.temperature'"));
}

// The lines of a stream; each must be JSON.
std::vector<std::string> lines_of(const std::string& stream) {
  std::vector<std::string> lines;
  std::istringstream in(stream);
  for (std::string line; std::getline(in, line);) {
    simdjson::dom::parser json;
    simdjson::dom::element root;
    EXPECT_EQ(json.parse(line).get(root), simdjson::SUCCESS) << line;
    lines.push_back(line);
  }
  return lines;
}

TEST(OllamaWriter, CallsGoOutWhole) {
  const auto writer = make_chat_writer({}, {.model = "m"});
  std::string out;
  writer->begin(out);
  writer->reasoning(out, 0, "Hm.");
  writer->text(out, 0, "Wait", {});
  writer->tool_call(out, 0, {.id = "c1", .name = "f", .arguments = "{\"a\":"});
  writer->tool_call(out, 0, {.arguments = "1}"});
  writer->tool_call(out, 0, {.index = 1, .id = "c2", .name = "g", .arguments = "{}"});
  writer->status(out, "thinking hard");
  writer->choice_end(out, 0, {});
  writer->finish(out, {.prompt_tokens = 2, .completion_tokens = 3}, {.total_ms = 1.5, .tokens_per_second = 1000});
  const auto lines = lines_of(out);
  ASSERT_EQ(lines.size(), 5U);
  EXPECT_THAT(lines[0], HasSubstr(R"("thinking":"Hm.")"));
  EXPECT_THAT(lines[1], HasSubstr(R"("content":"Wait"})"));
  EXPECT_THAT(lines[2], HasSubstr(R"("name":"f","arguments":{"a":1})"));
  EXPECT_THAT(lines[3], HasSubstr(R"("name":"g")"));
  EXPECT_THAT(lines[4], HasSubstr(R"("done":true,"done_reason":"stop","total_duration":1500000)"));
  EXPECT_THAT(lines[4], HasSubstr(R"("eval_count":3,"eval_duration":3000000)"));
}

TEST(OllamaWriter, CompletionsAnswerWithAResponse) {
  const Choice choice{.text = "a", .reasoning = "b", .end = {engine::FinishReason::kLength, ""}};
  const std::string whole = make_chat_writer({}, {.model = "m", .is_chat = false})->whole({&choice, 1}, {}, {});
  EXPECT_THAT(whole, HasSubstr(R"("response":"a","thinking":"b")"));
  EXPECT_THAT(whole, HasSubstr(R"("done_reason":"length")"));
  EXPECT_THAT(whole, Not(HasSubstr("message")));
}

TEST(OllamaModels, ListsAndShows) {
  const hub::ModelEntry models[] = {{.name = "a:1b", .bytes = 5, .architecture = "llama", .quantization = "Q8_0",
                                     .n_context = 99, .loaded = true},
                                    {.name = "b"}};
  EXPECT_THAT(render_tags(models), HasSubstr(R"("name":"a:1b","model":"a:1b","size":5,"digest":")"));
  const std::string loaded = render_loaded(models, {.models = {{.name = "a:1b"}}});
  EXPECT_THAT(loaded, HasSubstr(R"("context_length":99)"));
  EXPECT_THAT(loaded, Not(HasSubstr(R"("name":"b")")));
  EXPECT_THAT(render_show(models[0]), HasSubstr(R"("llama.context_length":99)"));
  EXPECT_EQ(find_model(models, "b:latest"), &models[1]);
  EXPECT_EQ(find_model(models, "c"), nullptr);
  EXPECT_EQ(*parse_show(R"({"name":"x"})"), "x");
  EXPECT_FALSE(parse_show("{}").has_value());
}

TEST(OllamaEmbed, OneTextOrMany) {
  auto many = parse_embed(EmbedEndpoint::kEmbed, R"({"model":"m","input":["a","b"],"dimensions":1})");
  ASSERT_TRUE(many.has_value());
  EXPECT_EQ(many->work.inputs.size(), 2U);
  const auto body = render_embed(EmbedEndpoint::kEmbed, *many, {.vectors = {{1, 0}, {0.5F, 0}}, .prompt_tokens = 4}, 2);
  ASSERT_TRUE(body.has_value());
  EXPECT_EQ(*body, R"({"model":"m","embeddings":[[1],[1]],"total_duration":2000000,"prompt_eval_count":4})");
  auto one = parse_embed(EmbedEndpoint::kEmbeddings, R"({"model":"m","prompt":"a"})");
  ASSERT_TRUE(one.has_value());
  EXPECT_EQ(*render_embed(EmbedEndpoint::kEmbeddings, *one, {.vectors = {{1, 2}}}, 0), R"({"embedding":[1,2]})");
}

}  // namespace
}  // namespace hearth::api::ollama
