// The small parts of upstreams: lists of models, where they run, bodies.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "hub/upstream/chat_body.h"
#include "hub/upstream/listing.h"
#include "hub/upstream/provider_body.h"
#include "hub/upstream/upstream_options.h"
#include "text/grammar/grammar.h"

namespace hearth::hub {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

TEST(Listing, CloudNamesAreTold) {
  for (const char* const name : {"gpt-oss:120b-cloud", "kimi-k2:1t-cloud", "glm:cloud", "a:b:cloud"}) {
    EXPECT_TRUE(is_cloud_name(name)) << name;
  }
  for (const char* const name : {"cloud", "my-cloud", "cloudy:8b", "cloud:8b", "x:cloudy", "x:cloud-8b"}) {
    EXPECT_FALSE(is_cloud_name(name)) << name;
  }
}

TEST(Listing, OpenAiListsNameTheirProgram) {
  const auto listing = parse_model_list(
      R"({"object":"list","data":[{"id":"m","owned_by":"llamacpp","meta":{"n_ctx":8192,"size":99}},{"id":"a:cloud"}]})");
  ASSERT_TRUE(listing);
  EXPECT_EQ(listing->kind, ServerKind::kLlamaServer);
  ASSERT_EQ(listing->models.size(), 2U);
  EXPECT_EQ(listing->models[0].n_context, 8192U);
  EXPECT_EQ(listing->models[0].elsewhere, "");
  EXPECT_NE(listing->models[1].elsewhere, "");
  EXPECT_EQ(parse_model_list(R"({"data":[{"id":"m","owned_by":"vllm"}]})")->kind, ServerKind::kVllm);
  EXPECT_EQ(parse_model_list(R"({"data":[{"id":"m","owned_by":"else"}]})")->kind, ServerKind::kUnknown);
}

TEST(Listing, OllamaSaysWhatIsElsewhere) {
  const auto listing = parse_ollama_tags(R"({"models":[
      {"model":"qwen3:0.6b","size":5,"digest":"d1","details":{"family":"qwen3","quantization_level":"Q4_K_M"}},
      {"model":"big","remote_host":"https://ollama.com:443"},
      {"model":"big2","remote_model":"x"}, {"name":"gpt-oss:20b-cloud"}]})");
  ASSERT_TRUE(listing);
  ASSERT_EQ(listing->models.size(), 4U);
  EXPECT_EQ(listing->models[0].elsewhere, "");
  EXPECT_EQ(listing->models[0].quantization, "Q4_K_M");
  EXPECT_THAT(listing->models[1].elsewhere, HasSubstr("https://ollama.com:443"));
  EXPECT_NE(listing->models[2].elsewhere, "");
  EXPECT_NE(listing->models[3].elsewhere, "");
  EXPECT_NE(*parse_ollama_show(R"({"remote_host":"https://ollama.com:443"})"), "");
  EXPECT_EQ(*parse_ollama_show(R"({"details":{}})"), "");
  EXPECT_FALSE(parse_ollama_show("[]"));
}

TEST(Listing, NamesThatAreNoneAreSkippedAndListsAreShort) {
  json list = {{"data", json::array()}};
  for (const char* const name : {"", "a b", "a\nb", "ok"}) list["data"].push_back({{"id", name}});
  list["data"].push_back({{"id", std::string(kUpstreamModelNameBytesMax + 1, 'x')}});
  list["data"].push_back({{"id", std::string(kUpstreamModelNameBytesMax, 'x')}});
  EXPECT_EQ(parse_model_list(list.dump())->models.size(), 2U);
  for (std::size_t i = 0; i < 2 * kUpstreamModelsMax; ++i) list["data"].push_back({{"id", fmt::format("m{}", i)}});
  EXPECT_EQ(parse_model_list(list.dump())->models.size(), kUpstreamModelsMax);
  for (const char* const broken : {"", "nonsense", "[]", R"({"data":{}})"}) {
    EXPECT_FALSE(parse_model_list(broken)) << broken;
    EXPECT_FALSE(parse_ollama_tags(broken)) << broken;
  }
}

TEST(UpstreamName, IsAWord) {
  EXPECT_TRUE(is_upstream_name("ollama"));
  EXPECT_TRUE(is_upstream_name(std::string(kUpstreamNameBytesMax, 'a')));
  EXPECT_FALSE(is_upstream_name(std::string(kUpstreamNameBytesMax + 1, 'a')));
  for (const char* const name : {"", "a/b", "a b", "auto", "local", ".a", "a@b", "ä"}) {
    EXPECT_FALSE(is_upstream_name(name)) << name;
  }
}

ChatRequest full_request() {
  ChatRequest request;
  request.messages = {{.role = Role::kSystem, .content = "Be brief."},
                      {.role = Role::kUser, .content = "Weather?"},
                      {.role = Role::kAssistant, .reasoning = "I call.",
                       .tool_calls = {{.id = "c1", .name = "f", .arguments = "{}"}}},
                      {.role = Role::kTool, .content = "rain", .tool_call_id = "c1"}};
  request.tools = {{.name = "f", .definition = R"({"name":"f","parameters":{"type":"object"}})"}};
  request.sampling.top_k = 40;
  request.sampling.min_p = 0.1F;
  request.sampling.repetition_penalty = 1.5F;
  request.has_temperature = true;
  request.sampling.temperature = 0.5F;
  request.max_tokens = 77;
  request.stop = {"END"};
  request.reasoning_effort = "low";
  return request;
}

TEST(ChatBody, PassesOnWhatTheServerTakes) {
  const auto made = make_chat_body(full_request(), {.model = "m", .kind = ServerKind::kLlamaServer});
  ASSERT_TRUE(made);
  const json body = json::parse(made->json);
  EXPECT_EQ(body["model"], "m");
  EXPECT_EQ(body["stream"], true);
  EXPECT_EQ(body["stream_options"]["include_usage"], true);
  EXPECT_EQ(body["messages"].size(), 4U);
  EXPECT_EQ(body["messages"][2]["content"], nullptr);
  EXPECT_EQ(body["messages"][2]["reasoning_content"], "I call.");
  EXPECT_EQ(body["messages"][2]["tool_calls"][0]["function"]["name"], "f");
  EXPECT_EQ(body["messages"][3]["tool_call_id"], "c1");
  EXPECT_EQ(body["tools"][0]["function"]["name"], "f");
  EXPECT_EQ(body["top_k"], 40);
  EXPECT_FLOAT_EQ(body["repeat_penalty"].get<float>(), 1.5F);
  EXPECT_FALSE(body.contains("repetition_penalty"));
  EXPECT_EQ(body["temperature"], 0.5);
  EXPECT_EQ(body["max_tokens"], 77);
  EXPECT_EQ(body["stop"], json::array({"END"}));
  EXPECT_EQ(made->max_tokens, 77U);
  EXPECT_EQ(made->left_out, "");
}

TEST(ChatBody, NamesWhatTheServerDoesNotTake) {
  const auto made = make_chat_body(full_request(), {.model = "m", .kind = ServerKind::kOllama});
  ASSERT_TRUE(made);
  EXPECT_EQ(made->left_out, "top_k, min_p, repetition_penalty");
  EXPECT_FALSE(json::parse(made->json).contains("top_k"));
}

TEST(ChatBody, RefusesWhatWouldBeAnotherAnswer) {
  ChatRequest request = full_request();
  request.n = 2;
  EXPECT_TRUE(make_chat_body(request, {.model = "m", .kind = ServerKind::kOpenAi}));
  const auto refused = make_chat_body(request, {.model = "m", .kind = ServerKind::kOllama});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("'n'"));
  request = full_request();
  request.adapters = {{.name = "style"}};
  EXPECT_FALSE(make_chat_body(request, {.model = "m", .kind = ServerKind::kLlamaServer}));
  request = full_request();
  request.grammar = *text::grammar::compile_json_object();
  request.format_field = "guided_regex";
  request.format_json = R"("a+")";
  EXPECT_FALSE(make_chat_body(request, {.model = "m", .kind = ServerKind::kLlamaServer}));
  EXPECT_TRUE(make_chat_body(request, {.model = "m", .kind = ServerKind::kVllm}));
  request.format_field = "response_format";
  request.format_json = R"({"type":"json_object"})";
  const auto made = make_chat_body(request, {.model = "m"});
  ASSERT_TRUE(made);
  EXPECT_EQ(json::parse(made->json)["response_format"]["type"], "json_object");
}

TEST(ChatBody, SetsTheLimitThatIsPaidFor) {
  ChatRequest request;
  request.prompt = "Once";
  const auto made = make_chat_body(
      request, {.model = "m", .max_tokens_key = "max_completion_tokens", .max_tokens_default = 512});
  ASSERT_TRUE(made);
  EXPECT_EQ(json::parse(made->json)["max_completion_tokens"], 512);
  EXPECT_EQ(json::parse(made->json)["prompt"], "Once");
  EXPECT_EQ(made->max_tokens, 512U);
}

// ---- Providers with words of their own

ChatRequest provider_request() {
  ChatRequest request;
  request.messages = {{.role = Role::kSystem, .content = "Be brief."},
                      {.content = "Weather?"},
                      {.role = Role::kAssistant, .tool_calls = {{"c1", "weather", "{}"}}},
                      {.role = Role::kTool, .content = "rain", .tool_call_id = "c1"}};
  request.tools = {{"weather", R"({"name":"weather","description":"Tells it.","parameters":{}})", R"({"type":"object"})"}};
  return request;
}

json provider_body(advisor::Wire wire, const ChatRequest& request, const CarriedStates& carried = {}) {
  const auto made = make_provider_body(advisor::wire_format(wire), request, {.model = "m", .max_tokens_default = 99}, carried);
  return made ? json::parse(made->json) : json{{"refused", made.error().message}};
}

TEST(ProviderBody, SaysTheSameInEachProvidersWords) {
  CarriedStates carried;
  carried.put("c1", R"([{"type":"thinking","thinking":"t","signature":"s"}])");
  const json anthropic = provider_body(advisor::Wire::kAnthropic, provider_request(), carried);
  EXPECT_EQ(anthropic["max_tokens"], 99);
  EXPECT_EQ(anthropic["system"][0]["text"], "Be brief.");
  EXPECT_EQ(anthropic["messages"][1]["content"][0]["signature"], "s");
  EXPECT_EQ(anthropic["tools"][0]["description"], "Tells it.");
  EXPECT_EQ(provider_body(advisor::Wire::kResponses, provider_request())["input"][2]["output"], "rain");
  EXPECT_EQ(provider_body(advisor::Wire::kGemini, provider_request())["contents"].size(), 3U);
}

TEST(ProviderBody, NamesWhatIsLeftOutAndRefusesWhatMatters) {
  ChatRequest request = provider_request();
  request.sampling.top_k = 5;
  request.sampling.frequency_penalty = 1;
  request.wants_logprobs = true;
  const auto made = make_provider_body(advisor::wire_format(advisor::Wire::kResponses), request, {.model = "m"}, {});
  ASSERT_TRUE(made);
  EXPECT_EQ(made->left_out, "top_k, frequency_penalty, logprobs");
  EXPECT_EQ(provider_body(advisor::Wire::kGemini, request)["generationConfig"]["topK"], 5);
  request.stop = {"END"};
  EXPECT_THAT(provider_body(advisor::Wire::kResponses, request)["refused"].get<std::string>(), HasSubstr("no 'stop'"));
  EXPECT_EQ(provider_body(advisor::Wire::kAnthropic, request)["stop_sequences"][0], "END");
  request.n = 2;
  EXPECT_THAT(provider_body(advisor::Wire::kAnthropic, request)["refused"].get<std::string>(), HasSubstr("no 'n'"));
}

TEST(CarriedStates, KeepsTheLatestWithinItsLimits) {
  CarriedStates states;
  states.put("a", "1");
  states.put("a", "2");
  EXPECT_EQ(states.find("a"), "2");
  EXPECT_EQ(states.find("b"), "");
  for (std::size_t i = 0; i < CarriedStates::kEntriesMax; ++i) states.put(fmt::format("{}", i), "x");
  EXPECT_EQ(states.size(), CarriedStates::kEntriesMax);
  EXPECT_EQ(states.find("a"), "");
  states.put("big", std::string(CarriedStates::kBytesMax + 1, 'x'));
  EXPECT_EQ(states.size(), 1U) << "the newest is always kept";
}

}  // namespace
}  // namespace hearth::hub
