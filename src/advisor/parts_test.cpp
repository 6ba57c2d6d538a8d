// The adviser's small parts: addresses, keys, briefs, answers, retries.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "advisor/api_key.h"
#include "advisor/brief.h"
#include "advisor/circuit.h"
#include "advisor/endpoint.h"
#include "advisor/price_list.h"
#include "advisor/retry.h"
#include "advisor/wire/answer_reader.h"
#include "base/file.h"
#include "base/temp_folder_for_test.h"
#include "base/utf8.h"

namespace hearth::advisor {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Endpoint, TakesWhatPeopleConfigure) {
  EXPECT_EQ(parse_endpoint("https://api.openai.com/v1")->chat_url,
            "https://api.openai.com/v1/chat/completions");
  EXPECT_EQ(parse_endpoint("https://API.OpenAI.com/v1/")->max_tokens_key, "max_completion_tokens");
  EXPECT_EQ(parse_endpoint("http://127.0.0.1:8080/v1")->max_tokens_key, "max_tokens");
  for (const char* near : {"http://localhost:1234/v1", "http://[::1]:8080", "http://192.168.1.5/v1",
                           "http://10.1.2.3", "http://172.31.0.1"}) {
    EXPECT_TRUE(parse_endpoint(near)) << near;
  }
}

TEST(Endpoint, RefusesWhatIsOddOrUnencrypted) {
  for (const char* odd :
       {"", "api.openai.com", "ftp://x/v1", "https://", "https:///v1", "https://user:pass@host/v1",
        "https://host/v1?key=1", "https://host/#x", "https://ho st/", "https://host:port/",
        "https://host:/", "https://[::1/", "http://example.com/v1", "http://172.32.0.1",
        "http://11.0.0.1", "http://192.169.0.1", "https://host\\@evil/"}) {
    EXPECT_FALSE(parse_endpoint(odd)) << odd;
  }
  EXPECT_THAT(parse_endpoint("https://u:hunter2@h/").error().message, Not(HasSubstr("hunter2")));
}

class ApiKeyTest : public ::testing::Test {
 protected:
  std::string key_file(const std::string& text, mode_t mode) {
    const std::filesystem::path path = folder_ / "key";
    EXPECT_TRUE(write_file_atomic(path, text));
    ::chmod(path.c_str(), mode);
    return path.string();
  }
  TempFolder folder_;
};

TEST_F(ApiKeyTest, ReadsAndTrims) {
  EXPECT_EQ(read_api_key("", key_file(" sk-1\n", 0600)).value(), "sk-1");
  ::setenv("HEARTH_TEST_KEY", "sk-2", 1);
  EXPECT_EQ(read_api_key("HEARTH_TEST_KEY", "").value(), "sk-2");
  ::unsetenv("HEARTH_TEST_KEY");
  EXPECT_EQ(read_api_key("", "").value(), "");
}

TEST_F(ApiKeyTest, RefusesOpenFilesAndWhatIsNoKey) {
  for (const mode_t mode : {0644U, 0640U, 0604U, 0610U}) {
    const auto key = read_api_key("", key_file("sk-1", mode));
    ASSERT_FALSE(key);
    EXPECT_EQ(key.error().code, Code::kPermissionDenied);
    EXPECT_THAT(key.error().message, HasSubstr("chmod 600"));
  }
  EXPECT_EQ(read_api_key("HEARTH_NO_SUCH_KEY", "").error().code, Code::kNotFound);
  EXPECT_EQ(read_api_key("", "/no/such/file").error().code, Code::kNotFound);
  for (const std::string& text : {std::string(""), std::string(" \n"), std::string("two words"),
                                  std::string("a\x01"), std::string(kKeyBytesMax + 1, 'k')}) {
    const auto key = read_api_key("", key_file(text, 0600));
    ASSERT_FALSE(key);
    EXPECT_EQ(key.error().code, Code::kInvalidArgument);
    if (text.size() > 2) {
      EXPECT_THAT(key.error().message, Not(HasSubstr(text)));
    }
  }
}

TEST(Brief, HoldsQuestionDraftAndRecentTurnsWithinItsLimit) {
  AdviceRequest request{
      .conversation = {{true, "old question"}, {false, "old answer"}, {true, "new question"}},
      .draft = "perhaps"};
  const std::string all = brief_text(request, 1000);
  EXPECT_THAT(all, HasSubstr("User: old question\nAssistant: old answer"));
  EXPECT_THAT(all, HasSubstr("perhaps"));
  EXPECT_THAT(all, HasSubstr("Question:\nnew question"));
  const std::string small = brief_text(request, 40);
  EXPECT_THAT(small, HasSubstr("Question:\nnew question"));
  EXPECT_THAT(small, Not(HasSubstr("old question")));
}

TEST(Brief, CutsLongTextsAtCharacters) {
  std::string question;
  for (int i = 0; i < 5000; ++i) question += "\xE2\x82\xAC";
  for (std::uint64_t bytes_max = 20; bytes_max < 40; ++bytes_max) {
    const std::string text = brief_text({.conversation = {{true, question}}}, bytes_max);
    EXPECT_TRUE(is_valid_utf8(text)) << bytes_max;
    EXPECT_LE(text.size(), bytes_max + 10);
    EXPECT_THAT(text, HasSubstr("[...]"));
  }
  EXPECT_EQ(brief_text({}, 100), "");
}

TEST(Brief, BodyAsksForAStreamWithUsage) {
  const AdviserOptions options{.model = "wise", .max_output_tokens = 77};
  const auto body = nlohmann::json::parse(wire_format(Wire::kChat).body(
      brief_request({.conversation = {{true, "q\xFF"}}}, options)));
  EXPECT_EQ(body["model"], "wise");
  EXPECT_EQ(body["max_tokens"], 77);
  EXPECT_EQ(body["stream"], true);
  EXPECT_EQ(body["stream_options"]["include_usage"], true);
  EXPECT_EQ(body["messages"].size(), 2U);
}

TEST(AnswerReader, ReadsAStreamWithUsage) {
  AnswerReader reader(wire_format(Wire::kChat), {.text_bytes_max = 1000});
  EXPECT_TRUE(reader.feed(
      "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n"
      "data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\n"
      "data: {\"choices\":[{\"delta\":{\"content\":\"lo\"},\"finish_reason\":\"stop\"}]}\n\n"
      "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2,"
      "\"prompt_tokens_details\":{\"cached_tokens\":1}}}\n\n"));
  EXPECT_FALSE(reader.feed("data: [DONE]\n\n"));
  reader.finish();
  EXPECT_EQ(reader.text(), "Hello");
  EXPECT_TRUE(reader.is_complete());
  EXPECT_EQ(reader.use().prompt_tokens, 5);
  EXPECT_EQ(reader.use().cached_tokens, 1);
  EXPECT_EQ(reader.finish_reason(), "stop");
}

TEST(AnswerReader, ReadsAPlainObjectAndErrorsInEachForm) {
  AnswerReader plain(wire_format(Wire::kChat), {.text_bytes_max = 1000});
  plain.feed(" {\"choices\":[{\"message\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}],");
  plain.feed("\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}");
  plain.finish();
  EXPECT_EQ(plain.text(), "Hi");
  EXPECT_TRUE(plain.is_complete());

  AnswerReader in_stream(wire_format(Wire::kChat), {.text_bytes_max = 1000});
  in_stream.feed("data: {\"error\":{\"message\":\"too busy\",\"type\":\"overloaded\"}}\n\n");
  EXPECT_EQ(in_stream.error().type, "overloaded");
  AnswerReader wrapped(wire_format(Wire::kChat), {.text_bytes_max = 1000});
  wrapped.feed("[{\"error\":{\"code\":429,\"message\":\"slow\"}}]");
  wrapped.finish();
  EXPECT_EQ(wrapped.error().code, "429");
  AnswerReader words(wire_format(Wire::kChat), {.text_bytes_max = 1000});
  words.feed("{\"error\":\"no such model\"}");
  words.finish();
  EXPECT_EQ(words.error().message, "no such model");
}

TEST(AnswerReader, DistrustsEverything) {
  for (const char* odd :
       {"{", "null", "data: 7\n\n", "data: {\"choices\":7}\n\n", "{\"choices\":[7]}",
        "{\"choices\":[{\"message\":7}],\"usage\":{\"prompt_tokens\":\"many\"}}",
        "{\"usage\":{\"prompt_tokens\":-5,\"completion_tokens\":1e300}}", "<html>", ""}) {
    AnswerReader reader(wire_format(Wire::kChat), {.text_bytes_max = 10});
    reader.feed(odd);
    reader.finish();
    EXPECT_EQ(reader.text(), "") << odd;
    EXPECT_FALSE(reader.is_complete()) << odd;
  }
}

TEST(AnswerReader, CutsTextAtItsLimit) {
  AnswerReader reader(wire_format(Wire::kChat), {.text_bytes_max = 5});
  EXPECT_FALSE(
      reader.feed("data: {\"choices\":[{\"delta\":{\"content\":\"abc\xE2\x82\xAC\"}}]}\n\n"));
  EXPECT_TRUE(reader.is_cut());
  EXPECT_EQ(reader.text(), "abc");
  AnswerReader exact(wire_format(Wire::kChat), {.text_bytes_max = 6});
  EXPECT_TRUE(
      exact.feed("data: {\"choices\":[{\"delta\":{\"content\":\"abc\xE2\x82\xAC\"}}]}\n\n"));
  EXPECT_FALSE(exact.is_cut());
}

CallEvidence status(int code, std::vector<net::HttpHeader> headers = {}, ProviderError error = {}) {
  return {.head = {.status = code, .headers = std::move(headers)}, .error = std::move(error)};
}

TEST(Retry, OnlyWhatMayPassByItself) {
  for (const int code : {408, 409, 429, 500, 502, 503, 504, 529}) {
    EXPECT_TRUE(retry_delay(status(code), 1, 0, 0)) << code;
  }
  for (const int code : {200, 307, 400, 401, 402, 403, 404, 413, 422}) {
    EXPECT_FALSE(retry_delay(status(code), 1, 0, 0)) << code;
  }
  EXPECT_FALSE(retry_delay(status(429, {}, {.code = "insufficient_quota"}), 1, 0, 0));
  EXPECT_FALSE(retry_delay(status(429, {}, {.type = "insufficient_quota"}), 1, 0, 0));
  EXPECT_TRUE(retry_delay(status(429, {}, {.code = "rate_limit_exceeded"}), 1, 0, 0));
  EXPECT_TRUE(retry_delay(status(200, {}, {.type = "overloaded"}), 1, 0, 0));
  EXPECT_FALSE(retry_delay(status(200, {}, {.type = "invalid_request_error"}), 1, 0, 0));
  EXPECT_TRUE(retry_delay({.failure = net::HttpFailure::kConnect}, 1, 0, 0));
  EXPECT_FALSE(retry_delay({.failure = net::HttpFailure::kCancelled}, 1, 0, 0));
  EXPECT_FALSE(retry_delay({.failure = net::HttpFailure::kBroken, .has_text = true}, 1, 0, 0));
}

TEST(Retry, TheServersWishesCount) {
  EXPECT_FALSE(retry_delay(status(500, {{"X-Should-Retry", "false"}}), 1, 0, 0));
  EXPECT_TRUE(retry_delay(status(400, {{"x-should-retry", "true"}}), 1, 0, 0));
  EXPECT_EQ(retry_delay(status(429, {{"retry-after-ms", "120"}, {"retry-after", "9"}}), 1, 0, 0),
            milliseconds(120));
  EXPECT_EQ(retry_delay(status(429, {{"retry-after", "2"}}), 1, 0, 0), milliseconds(2000));
  EXPECT_EQ(retry_delay(status(429, {{"retry-after", "120"}}), 1, 0, 0), milliseconds(120'000));
  EXPECT_FALSE(retry_delay(status(429, {{"retry-after", "121"}}), 1, 0, 0));
  const std::int64_t now = 784'111'777'000'000;  // Sun, 06 Nov 1994 08:49:37 GMT
  EXPECT_EQ(retry_delay(status(503, {{"Retry-After", "Sun, 06 Nov 1994 08:49:40 GMT"}}), 1, now, 0),
            milliseconds(3000));
  for (const char* odd : {"", "soon", "nan", "inf", "-5", "1e999", "Sun, 99 Nov 1994"}) {
    EXPECT_EQ(retry_delay(status(429, {{"retry-after", odd}}), 1, 0, 0), milliseconds(500)) << odd;
  }
}

TEST(Retry, BacksOffUpToALimit) {
  EXPECT_EQ(retry_delay(status(500), 1, 0, 0), milliseconds(500));
  EXPECT_EQ(retry_delay(status(500), 2, 0, 0), milliseconds(1000));
  EXPECT_EQ(retry_delay(status(500), 9, 0, 0), milliseconds(8000));
  EXPECT_EQ(retry_delay(status(500), 1, 0, 1), milliseconds(375));
}

TEST(Circuit, OpensProbesAndCloses) {
  Circuit circuit;
  std::int64_t now = 1;
  for (std::uint32_t i = 0; i + 1 < Circuit::kFailuresMax; ++i) {
    ASSERT_TRUE(circuit.let_through(now));
    circuit.fail(now);
  }
  EXPECT_EQ(circuit.state(now), CircuitState::kClosed);
  ASSERT_TRUE(circuit.let_through(now));
  circuit.fail(now);
  EXPECT_EQ(circuit.state(now), CircuitState::kOpen);
  EXPECT_FALSE(circuit.let_through(now));
  EXPECT_EQ(circuit.rest_left_ns(now), Circuit::kRestNs);

  now += Circuit::kRestNs;
  EXPECT_EQ(circuit.state(now), CircuitState::kHalfOpen);
  EXPECT_TRUE(circuit.let_through(now));
  EXPECT_FALSE(circuit.let_through(now)) << "one probe at a time";
  circuit.fail(now);
  EXPECT_EQ(circuit.rest_left_ns(now), 2 * Circuit::kRestNs);

  now += 2 * Circuit::kRestNs;
  EXPECT_TRUE(circuit.let_through(now));
  circuit.withdraw();
  EXPECT_TRUE(circuit.let_through(now)) << "a probe that was cancelled tells nothing";
  circuit.succeed();
  EXPECT_EQ(circuit.state(now), CircuitState::kClosed);
  EXPECT_TRUE(circuit.let_through(now));
  EXPECT_TRUE(circuit.let_through(now));
}

TEST(Circuit, RestsAreBounded) {
  Circuit circuit;
  for (int i = 0; i < 60; ++i) circuit.fail(0);
  EXPECT_EQ(circuit.rest_left_ns(0), Circuit::kRestMaxNs);
}

TEST(PriceList, KnowsModelsAtTheirMakersAlone) {
  const auto sonnet = list_price("api.anthropic.com", "claude-sonnet-4-6");
  ASSERT_TRUE(sonnet);
  EXPECT_EQ(*sonnet, (Prices{3'000'000, 15'000'000, 300'000, 3'750'000}));
  EXPECT_EQ(list_price("api.anthropic.com", "claude-haiku-4-5-20251001")->in_usd_micro_per_mtok, 1'000'000);
  EXPECT_EQ(list_price("api.openai.com", "gpt-5.4-2026-03-05")->out_usd_micro_per_mtok, 15'000'000);
  for (const char* other : {"claude-sonnet-4-6-fast", "claude-sonnet-4", "claude-sonnet-4-6-2025100", "gpt-5.4", ""}) {
    EXPECT_FALSE(list_price("api.anthropic.com", other)) << other;
  }
  EXPECT_FALSE(list_price("openrouter.ai", "claude-sonnet-4-6"));
  for (const ListPrice& row : price_list()) {
    EXPECT_EQ(row.found_on.size(), 10U) << row.model;
    EXPECT_TRUE(row.source.starts_with("https://")) << row.model;
    EXPECT_GT(row.prices.in_usd_micro_per_mtok, 0) << row.model;
    EXPECT_GE(row.prices.out_usd_micro_per_mtok, row.prices.in_usd_micro_per_mtok) << row.model;
  }
}

TEST(Retry, KnowsEachProvidersWayToSayWhenAndNever) {
  const auto google = [](const char* details) {
    return read_error_body(fmt::format(
        R"([{{"error":{{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED","details":[{}]}}}}])", details));
  };
  const auto delay = [](ProviderError error) { return retry_delay(status(429, {}, std::move(error)), 1, 0, 0); };
  EXPECT_EQ(delay(google(R"({"@type":"x/RetryInfo","retryDelay":"22s"})")), milliseconds(22'000));
  EXPECT_EQ(delay(google(R"({"retryDelay":"0.0125s"})")), milliseconds(13));
  EXPECT_EQ(delay(google(R"({"retryDelay":"soon"})")), milliseconds(500));
  EXPECT_FALSE(delay(google(R"({"violations":[{"quotaId":"GenerateRequestsPerDayPerProject"}]},{"retryDelay":"1s"})")));
  EXPECT_FALSE(delay(read_error_body(
      R"({"type":"error","error":{"type":"rate_limit_error","message":"spent","details":{"error_code":"enforced_spend_limit_reached"}}})")));
  EXPECT_TRUE(delay(read_error_body(R"({"type":"error","error":{"type":"rate_limit_error","message":"slow"}})")));
  EXPECT_EQ(delay({.code = "slow_down"}), milliseconds(8'000));
  EXPECT_TRUE(retry_delay(status(200, {}, {.type = "UNAVAILABLE"}), 1, 0, 0));
}

TEST(ProviderJson, NestingIsBounded) {
  const auto nested = [](std::size_t n) { return std::string(n, '[') + std::string(n, ']'); };
  EXPECT_FALSE(parse_json(nested(kNestingMax)).is_discarded());
  EXPECT_TRUE(parse_json(nested(kNestingMax + 1)).is_discarded());
  EXPECT_FALSE(parse_json("\"" + std::string(1000, '[') + "\"").is_discarded());
  EXPECT_FALSE(parse_json(R"(["\"", "[[[["])").is_discarded());
}

}  // namespace
}  // namespace hearth::advisor
