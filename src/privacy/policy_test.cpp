#include "privacy/policy.h"

#include <gtest/gtest.h>

namespace hearth::privacy {
namespace {

constexpr std::string_view kPolicy = R"(
default = "private"
keep = ["GPE"]

[[rules]]
name = "keys"
class = "secret"
paths = ["**/.ssh/**", "**/*.pem"]

[[rules]]
name = "tickets"
class = "internal"
tools = ["jira_*"]

[[rules]]
name = "weather"
class = "public"
tools = ["weather"]

[actions]
internal = "redacted"
private = "ask"

[actions.acme]
internal = "never"

[[expect]]
name = "keys stay here"
path = "/home/me/.ssh/id_rsa"
class = "secret"
action = "never"

[[expect]]
tool = "jira_search"
provider = "acme"
action = "never"
)";

Policy parsed(std::string_view toml) {
  auto policy = parse_policy(toml, "p.toml");
  EXPECT_TRUE(policy) << policy.error().message;
  return policy ? *policy : Policy::standard();
}

std::string problem_of(std::string_view toml) {
  const auto policy = parse_policy(toml, "p.toml");
  return policy ? "" : policy.error().message;
}

TEST(Glob, MatchesAsPathsDo) {
  EXPECT_TRUE(glob_matches("**/*.pem", "a/b/c.pem"));
  EXPECT_TRUE(glob_matches("**/*.pem", "c.pem"));
  EXPECT_TRUE(glob_matches("/home/*/x", "/home/me/x"));
  EXPECT_FALSE(glob_matches("/home/*/x", "/home/me/you/x"));
  EXPECT_TRUE(glob_matches("**/.ssh/**", "/home/me/.ssh/id"));
  EXPECT_FALSE(glob_matches("**/.ssh/**", "/home/me/.sshd"));
  EXPECT_TRUE(glob_matches("jira_*", "jira_search"));
  EXPECT_TRUE(glob_matches("a?c", "abc"));
  EXPECT_FALSE(glob_matches("a?c", "a/c"));
  EXPECT_FALSE(glob_matches("", "x"));
  EXPECT_TRUE(glob_matches("**", ""));
}

TEST(Policy, TheFirstRuleThatFitsDecides) {
  const Policy policy = parsed(kPolicy);
  EXPECT_TRUE(policy.check().empty());
  const Verdict tickets = policy.judge(Source{"tool", "jira_get", {}}, "acme");
  EXPECT_EQ(tickets.gives, Class::kInternal);
  EXPECT_EQ(tickets.action, Action::kNever);
  EXPECT_EQ(policy.judge(Source{"tool", "jira_get", {}}, "other").action, Action::kRedacted);
  EXPECT_EQ(policy.judge(Source{"tool", "jira_get", {"/x/.ssh/id"}}, "other").rule, "keys");
  EXPECT_TRUE(policy.keeps("GPE"));
  EXPECT_FALSE(policy.keeps("PERSON"));
}

TEST(Policy, WhatIsUnknownIsPrivate) {
  EXPECT_EQ(Policy::standard().judge(Sources{}, "x").gives, Class::kPrivate);
  EXPECT_EQ(parsed(kPolicy).judge(Source{"user", "", {}}, "x").action, Action::kAsk);
}

TEST(Policy, TheHighestClassOfAllSourcesCounts) {
  const Policy policy = parsed(kPolicy);
  const Sources sources = {{"tool", "weather", {}}, {"tool", "read", {"/k/a.pem"}}, {"tool", "jira_get", {}}};
  EXPECT_EQ(policy.judge(sources, "x").gives, Class::kSecret);
  EXPECT_EQ(policy.judge(sources, "x").rule, "keys");
  EXPECT_EQ(policy.judge(Sources{{"tool", "weather", {}}}, "x").action, Action::kFree);
}

TEST(Policy, ChecksItself) {
  Policy policy = parsed(std::string(kPolicy) + R"(
[[rules]]
name = "late"
class = "public"
tools = ["jira_x"]
[[rules]]
name = "odd"
class = "public"
roles = ["user"]
paths = ["**"]
[[expect]]
name = "wrong"
tool = "weather"
class = "secret"
)");
  const auto problems = policy.check();
  ASSERT_EQ(problems.size(), 3U);
  EXPECT_EQ(problems[0], "rule 'late' can never decide: rule 'tickets' before it takes all that it could");
  EXPECT_NE(problems[1].find("only sources of the role"), std::string::npos);
  EXPECT_EQ(problems[2], "'wrong': class secret expected, rule 'weather' gives public");
}

TEST(Policy, NoDetourLeadsAroundARule) {
  EXPECT_EQ(plain_path("/a//b/./c/../d/", Parents::kKept), "/a/b/c/../d");
  EXPECT_EQ(plain_path("/a//b/./c/../d/", Parents::kResolved), "/a/b/d");
  EXPECT_EQ(plain_path("./../a/../../b/.", Parents::kResolved), "../../b");
  EXPECT_EQ(plain_path("/../a", Parents::kResolved), "/a");
  EXPECT_EQ(plain_path("./", Parents::kResolved), "");
  const Policy policy = parsed(R"(
[[rules]]
name = "site"
class = "public"
paths = ["/srv/./site//**"]
[[rules]]
name = "mine"
class = "secret"
paths = ["/home/me/private/**", "**/*.pem"]
)");
  const auto rule_of = [&](std::vector<std::string> paths) {
    return policy.judge(Source{.role = "tool", .tool = "read", .paths = std::move(paths)}, "").rule;
  };
  for (const char* const path : {"/home/me/private/x", "/home/me/./private/x", "/home//me/private//x", "/home/me/work/../private/x",
                                 "/srv/site/../../home/me/private/x", "/home/me/private/../work/x", "/home/me/private", "/home/me/private/",
                                 "/srv/site/../../home/me/work/../private/.", "x/../key.pem"}) {
    EXPECT_EQ(rule_of({path}), "mine") << path;
  }
  EXPECT_EQ(rule_of({"/srv/site/a.html"}), "site");
  EXPECT_EQ(rule_of({"/srv/./site//a.html"}), "site");
  EXPECT_EQ(rule_of({"/srv/site"}), "site");
  EXPECT_EQ(rule_of({"/srv/site/../etc/passwd"}), "default") << "what it leads to is not public";
  EXPECT_EQ(rule_of({"/srv/site/a.html", "/etc/passwd"}), "default") << "each path counts";
  EXPECT_EQ(rule_of({"/srv/site/a.html", "/home/me/private/x"}), "mine");
  EXPECT_EQ(rule_of({std::string(kPathBytesMax + 1, '?')}), "mine") << "the strictest rule about paths";
}

TEST(Policy, HeadersAreASource) {
  const Policy policy = parsed(R"(
[[rules]]
name = "site"
class = "public"
headers = ["X-Project: website"]
[[rules]]
name = "clients"
class = "secret"
headers = ["x-project: client-*"]
[[expect]]
role = "user"
header = "X-PROJECT: client-7"
action = "never"
)");
  EXPECT_TRUE(policy.check().empty());
  const auto rule_of = [&](const std::string& header) {
    return policy.judge(Source{.role = "user", .tool = {}, .paths = {}, .headers = {"accept: */*", header}}, "").rule;
  };
  EXPECT_EQ(rule_of("x-project: website"), "site");
  EXPECT_EQ(rule_of("x-project: client-acme"), "clients");
  EXPECT_EQ(rule_of("x-project: other"), "default");
  EXPECT_EQ(rule_of("x-long: " + std::string(kPathBytesMax, 'x')), "clients") << "the strictest rule about headers";
  EXPECT_NE(policy.identity, parsed("default = \"public\"").identity);
  EXPECT_NE(problem_of("[[rules]]\nclass = \"public\"\nheaders = [\"website\"]").find("NAME: VALUE"), std::string::npos);
}

TEST(Policy, KeepsLettersOfAnyLanguage) {
  const Policy policy = parsed(R"(
# größer
[[rules]]
name = "Verträge" # é
class = "secret"
paths = ["**/Verträge/**", '**/*.größe']
[actions."zürich"]
private = "never"
[[expect]]
path = "/home/ä/Verträge/1.txt"
class = "secret"
[[expect]]
provider = "zürich"
action = "never"
)");
  EXPECT_TRUE(policy.check().empty());
  EXPECT_EQ(policy.judge(Source{"tool", "read", {"/x/a.größe"}}, "x").rule, "Verträge");
  EXPECT_NE(problem_of("\"größe\" = 1").find("'größe' is no key here"), std::string::npos);
  EXPECT_NE(problem_of("default = \"public\"\ngröße = 1").find("line 2"), std::string::npos);
}

TEST(Policy, RefusesWhatItDoesNotKnow) {
  EXPECT_NE(problem_of("defualt = \"public\"").find("'defualt' is no key here"), std::string::npos);
  EXPECT_NE(problem_of("default = \"open\"").find("line 1: default must be public, internal"), std::string::npos);
  EXPECT_NE(problem_of("[[rules]]\nname = \"x\"").find("rule 'x' has no class"), std::string::npos);
  EXPECT_NE(problem_of("[[rules]]\nclass = \"public\"\nroles = [\"human\"]").find("the role 'human'"), std::string::npos);
  EXPECT_NE(problem_of("[actions]\npubic = \"free\"").find("'pubic'"), std::string::npos);
  EXPECT_NE(problem_of("x = ").find("line 1"), std::string::npos);
}

}  // namespace
}  // namespace hearth::privacy
