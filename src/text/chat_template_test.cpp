// Chat templates as a whole: the interface, its limits, and real templates where they are at
// hand.  The language itself is tested by jinja/renders_test.cpp.
#include "text/chat_template.h"

#include <filesystem>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/program.h"

namespace hearth::text {
namespace {

using Json = nlohmann::ordered_json;
using testing::HasSubstr;

Result<std::string> render(const std::string& source, const Json& context = Json::object(),
                           const RenderLimits& limits = {}) {
  HEARTH_TRY(const auto compiled, ChatTemplate::compile(source));
  return compiled->render(context, 0, limits);
}

std::string error_of(const std::string& source, const Json& context = Json::object(),
                     const RenderLimits& limits = {}) {
  const auto result = render(source, context, limits);
  return result ? "no error, but: " + result->substr(0, 100) : result.error().message;
}

std::string repeat(const std::string& text, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += text;
  return out;
}

TEST(ChatTemplate, ChatmlLaysOutAConversation) {
  const Json context = {{"messages",
                         {{{"role", "system"}, {"content", "Be brief."}},
                          {{"role", "user"}, {"content", "Hi"}},
                          {{"role", "assistant"}, {"content", nullptr}}}},
                        {"add_generation_prompt", true}};
  const auto out = ChatTemplate::chatml()->render(context);
  ASSERT_TRUE(out) << out.error().message;
  EXPECT_EQ(*out,
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
            "<|im_start|>assistant\n<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ChatTemplate, KeepsItsSource) {
  const auto compiled = ChatTemplate::compile("a\r\n{{ b }}\n");
  ASSERT_TRUE(compiled);
  EXPECT_EQ((*compiled)->source(), "a\r\n{{ b }}\n");
  EXPECT_EQ((*compiled)->render({{"b", 1}}).value_or("?"), "a\n1");
}

TEST(ChatTemplate, RaiseExceptionGivesTheTemplatesOwnWords) {
  EXPECT_EQ(error_of("{{ raise_exception('Roles must alternate') }}"), "Roles must alternate");
}

TEST(ChatTemplate, ErrorsNameTheLine) {
  EXPECT_EQ(error_of("a\nb\n{{ x.y }}"), "template line 3: 'x' is undefined");
  EXPECT_EQ(error_of("a\n{% if %}"), "template line 2: expected an expression, found '%}'");
  EXPECT_THAT(error_of("{% for x in y %}\n"), HasSubstr("'endfor' was due"));
  EXPECT_THAT(error_of("{% frobnicate %}"), HasSubstr("unknown tag 'frobnicate'"));
  EXPECT_THAT(error_of("{% include 'x' %}"), HasSubstr("carries only one"));
}

TEST(ChatTemplate, RefusesAContextThatIsNoObject) {
  EXPECT_THAT(error_of("x", Json::array()), HasSubstr("must be a JSON object"));
}

TEST(ChatTemplate, ReplacesInvalidUtf8) {
  EXPECT_EQ(render("{{ x|length }}{{ x }}\xff", {{"x", "a\xc3z"}}).value_or("?"),
            "3a\xEF\xBF\xBDz\xEF\xBF\xBD");
}

TEST(ChatTemplate, TheClockIsTheCallers) {
  const auto compiled = ChatTemplate::compile("{{ strftime_now('%d %b %Y %H:%M:%S.%f%z') }}");
  ASSERT_TRUE(compiled);
  EXPECT_EQ((*compiled)->render(Json::object(), 1795167000).value_or("?"),
            "20 Nov 2026 09:30:00.000000");
  EXPECT_EQ(render("{{ strftime_now('') }}{{ strftime_now('%') }}").value_or("?"), "%");
}

// --- Limits, from both sides -----------------------------------------------------------------

TEST(ChatTemplateLimits, Output) {
  RenderLimits limits;
  limits.output_bytes_max = 10;
  EXPECT_EQ(render("0123456789", Json::object(), limits).value_or("?"), "0123456789");
  EXPECT_THAT(error_of("0123456789a", Json::object(), limits), HasSubstr("more than 10 bytes"));
}

TEST(ChatTemplateLimits, Steps) {
  RenderLimits limits;
  limits.steps_max = 1000;
  const std::string loop = "{% for i in range(N) %}{% endfor %}";
  EXPECT_TRUE(render("{% for i in range(500) %}{% endfor %}", Json::object(), limits));
  EXPECT_THAT(error_of("{% for i in range(1100) %}{% endfor %}", Json::object(), limits),
              HasSubstr("more than 1000 steps"));
}

TEST(ChatTemplateLimits, Memory) {
  RenderLimits limits;
  limits.memory_bytes_max = 1 << 20;
  EXPECT_EQ(render("{{ ('x' * 500000)|length }}", Json::object(), limits).value_or("?"), "500000");
  EXPECT_THAT(error_of("{{ 'x' * 2000000 }}", Json::object(), limits), HasSubstr("1048576 bytes"));
  EXPECT_THAT(error_of("{% set ns = namespace(s='x') %}{% for i in range(100) %}"
                       "{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
                       Json::object(), limits),
              HasSubstr("1048576 bytes"));
  EXPECT_THAT(error_of("{{ [1] * 10000000 }}"), HasSubstr("holds more than"));
  EXPECT_THAT(error_of("{{ 'a'.center(10**18) }}"), HasSubstr("bytes"));
}

TEST(ChatTemplateLimits, SyntaxDepth) {
  const std::size_t under = jinja::kSyntaxDepthMax - 2, over = jinja::kSyntaxDepthMax;
  EXPECT_EQ(render("{{ " + repeat("(", under) + "7" + repeat(")", under) + " }}").value_or("?"),
            "7");
  EXPECT_THAT(error_of("{{ " + repeat("(", over) + "7" + repeat(")", over) + " }}"),
              HasSubstr("nests deeper"));
  const std::pair<std::string, std::string> nests[] = {
      {"(", ")"},  {"[", "]"}, {"{1:", "}"}, {"x[", "]"},
      {"f(", ")"}, {"-", ""},  {"not ", ""}, {"1 if 0 else ", ""}};
  for (const auto& [open, close] : nests) {
    const std::string text = "{{ " + repeat(open, 50'000) + "1" + repeat(close, 50'000) + " }}";
    EXPECT_THAT(error_of(text), HasSubstr("nests deeper")) << open;
  }
  EXPECT_THAT(error_of(repeat("{% if 1 %}", 100'000)), HasSubstr("nests deeper"));
}

TEST(ChatTemplateLimits, EvaluationDepth) {
  const std::string macro =
      "{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{% endif %}x{% endmacro %}";
  EXPECT_EQ(render(macro + "{{ f(50)|length }}").value_or("?"), "51");
  EXPECT_THAT(error_of(macro + "{{ f(100000) }}"), HasSubstr("nests deeper than 1000"));
  // Chains that the parser reads without recursion still evaluate with it.
  EXPECT_EQ(render("{{ 0" + repeat(" + 1", 900) + " }}").value_or("?"), "900");
  EXPECT_THAT(error_of("{{ 0" + repeat(" + 1", 10'000) + " }}"), HasSubstr("nests deeper"));
  EXPECT_THAT(error_of("{{ x" + repeat("|list", 10'000) + " }}"), HasSubstr("nests deeper"));
}

TEST(ChatTemplateLimits, ValueDepthAndWeight) {
  Json deep = 1;
  for (unsigned i = 0; i + 1 < jinja::kNestingMax; ++i) deep = Json::array({deep});
  EXPECT_TRUE(render("{{ x|tojson }}", {{"x", deep}}));
  Json deeper = Json::array({deep});
  deeper = Json::array({deeper});
  EXPECT_THAT(error_of("{{ x|tojson }}", {{"x", deeper}}), HasSubstr("nests deeper"));

  EXPECT_THAT(error_of("{% set ns = namespace(x=[]) %}{% for i in range(300) %}"
                       "{% set ns.x = [ns.x] %}{% endfor %}"),
              HasSubstr("nest deeper than 200"));
  // Sharing makes a list of 2^60 items in 60 steps; printing it would never end.
  EXPECT_THAT(error_of("{% set ns = namespace(x=[1]) %}{% for i in range(60) %}"
                       "{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}"),
              HasSubstr("holds more than"));
}

TEST(ChatTemplateLimits, NumbersAndSizes) {
  EXPECT_EQ(render("{{ 10**37 }}").value_or("?"), "1" + repeat("0", 37));
  EXPECT_THAT(error_of("{{ 10**39 }}"), HasSubstr("128 bits"));
  EXPECT_THAT(error_of("{{ 1" + repeat("0", 40) + " }}"), HasSubstr("128 bits"));
  EXPECT_EQ(render("{{ x + 1 }}", {{"x", UINT64_MAX}}).value_or("?"), "18446744073709551616");
  EXPECT_EQ(render("{{ range(100000)|length }}").value_or("?"), "100000");
  EXPECT_THAT(error_of("{{ range(100001) }}"), HasSubstr("100000"));
  EXPECT_THAT(error_of("{{ '%99999999d' % 1 }}"), HasSubstr("1000000"));
  EXPECT_TRUE(ChatTemplate::compile(std::string(jinja::kSourceBytesMax, 'a')));
  EXPECT_FALSE(ChatTemplate::compile(std::string(jinja::kSourceBytesMax + 1, 'a')));
}

TEST(ChatTemplateLimits, ANamespaceMayHoldItself) {
  EXPECT_THAT(render("{% set n = namespace() %}{% set n.n = n %}{{ n }}").value_or("?"),
              HasSubstr("{...}"));
}

TEST(ChatTemplate, RendersOnSeveralThreads) {
  const auto compiled = ChatTemplate::compile(
      "{% macro f(x) %}[{{ x|upper }}]{% endmacro %}{% for m in messages %}{{ f(m) }}{% endfor %}");
  ASSERT_TRUE(compiled);
  std::vector<std::jthread> threads;
  std::vector<std::string> outputs(4);
  for (std::string& output : outputs) {
    threads.emplace_back([&output, &compiled] {
      for (int i = 0; i < 200; ++i) {
        output = (*compiled)->render({{"messages", {"a", "b"}}}, 0).value_or("?");
      }
    });
  }
  threads.clear();
  for (const std::string& output : outputs) EXPECT_EQ(output, "[A][B]");
}

// --- Real templates ----------------------------------------------------------------------------

// Whether our render of a row is right: equal bytes, or any error where Jinja raised one.
bool row_is_right(const Json& row, const ChatTemplate* compiled, std::int64_t now,
                  std::string& got) {
  const bool wants_error = row.contains("error");
  if (!compiled) {
    got = "does not compile";
    return wants_error;
  }
  const auto out = compiled->render(row["context"], now);
  got = out ? *out : "error: " + out.error().message;
  return wants_error ? !out.has_value() : out && *out == row["output"].get<std::string>();
}

TEST(ChatTemplate, RealTemplatesRenderAsJinjaRendersThem) {
  const std::filesystem::path path =
      std::filesystem::path(HEARTH_SHARED_DIR) / "templates" / "chat_templates.json";
  const auto text = read_file(path);
  if (!text) GTEST_SKIP() << "the real templates are not here: " << text.error().message;
  const Json data = Json::parse(*text);
  // 2026-11-20T09:30:00 UTC, the clock of the file.
  ASSERT_EQ(data["now"], "2026-11-20T09:30:00");
  constexpr std::int64_t kNow = 1795167000;

  std::map<std::string, int> wrong_rows;
  for (const Json& row : data["rows"]) {
    const auto name = row["template"].get<std::string>();
    const auto compiled = ChatTemplate::compile(data["templates"][name].get<std::string>());
    std::string got;
    const bool is_right = row_is_right(row, compiled ? compiled->get() : nullptr, kNow, got);
    EXPECT_TRUE(is_right) << name << ", case " << row["case"] << ": " << got;
    if (!is_right) ++wrong_rows[name];
  }
  EXPECT_GE(data["rows"].size(), 295u);
  EXPECT_TRUE(wrong_rows.empty()) << wrong_rows.size() << " templates differ";
}

}  // namespace
}  // namespace hearth::text
