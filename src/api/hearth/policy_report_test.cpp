// What is said of a request before it could leave: its own headers, each source, and what would be replaced.
#include "api/hearth/policy_report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace hearth::api::hearth {
namespace {

using Json = nlohmann::json;

hub::PrivacyGate gate_of(std::string_view toml) {
  auto policy = privacy::parse_policy(toml, "policy.toml");
  HEARTH_CHECK(policy);
  return hub::PrivacyGate({.policy = *std::move(policy), .dictionary = {}});
}

constexpr std::string_view kPolicy = R"(
[[rules]]
name = "site"
class = "public"
headers = ["X-Project: website"]
[[rules]]
name = "keys"
class = "secret"
paths = ["**/.ssh/**"]
)";

Json explained(std::string_view body) {
  const auto report = explain_policy(gate_of(kPolicy), "acme", body);
  EXPECT_TRUE(report) << report.error().message;
  return report ? Json::parse(*report) : Json();
}

TEST(PolicyReport, HeadersAreThoseOfTheBody) {
  const Json site = explained(R"({"model": "auto", "messages": [{"role": "user", "content": "hi"}], "headers": {"X-PROJECT": "website"}, "provider": "other"})");
  EXPECT_EQ(site["provider"], "other");
  EXPECT_EQ(site["rule"], "site");
  EXPECT_EQ(site["action"], "free");
  EXPECT_EQ(explained(R"({"model": "auto", "messages": [{"role": "user", "content": "hi"}], "headers": {"X-Project": "other"}})")["rule"], "default");
  EXPECT_EQ(explained(R"({"model": "auto", "messages": [{"role": "user", "content": "hi"}]})")["provider"], "acme");
}

TEST(PolicyReport, NamesEachSource) {
  const Json said = explained(R"({"model": "auto", "messages": [
      {"role": "user", "content": "mail ann.lee@example.com"},
      {"role": "assistant", "content": null, "tool_calls": [{"id": "1", "type": "function",
        "function": {"name": "read", "arguments": "{\"path\": \"/h/.ssh/id\"}"}}]},
      {"role": "tool", "tool_call_id": "1", "content": "x"}]})");
  EXPECT_EQ(said["class"], "secret");
  EXPECT_EQ(said["sources"][0]["found"], Json({{"EMAIL_ADDRESS", 1}}));
  EXPECT_EQ(said["sources"][2]["paths"], Json({"/h/.ssh/id"}));
  EXPECT_EQ(said["sources"][2]["rule"], "keys");
}

TEST(PolicyReport, RefusesHeadersThatAreNone) {
  for (const char* const headers : {"3", "[\"X-Project: website\"]", "{\"x\": 3}"}) {
    const std::string body = std::string(R"({"model": "auto", "messages": [{"role": "user", "content": "hi"}], "headers": )") + headers + "}";
    EXPECT_FALSE(explain_policy(gate_of(kPolicy), "acme", body)) << headers;
  }
}

}  // namespace
}  // namespace hearth::api::hearth
