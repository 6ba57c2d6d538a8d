// The front ends: which texts their grammars take, and what they refuse.
#include "text/grammar/grammar.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "text/grammar/code_points.h"

namespace hearth::text::grammar {
namespace {

using ::testing::HasSubstr;

struct Case {
  std::string source;
  std::vector<std::string> taken;
  std::vector<std::string> refused;
};

using Compile = Result<GrammarPtr> (*)(std::string_view);

void check(Compile compile_source, const std::vector<Case>& cases) {
  for (const Case& row : cases) {
    const auto grammar = compile_source(row.source);
    ASSERT_TRUE(grammar) << row.source << ": " << grammar.error().message;
    for (const std::string& text : row.taken)
      EXPECT_TRUE(matches(**grammar, text)) << row.source << " takes " << text;
    for (const std::string& text : row.refused)
      EXPECT_FALSE(matches(**grammar, text)) << row.source << " refuses " << text;
  }
}

// Source, and a part of the message.
void check_errors(Compile compile_source,
                  const std::vector<std::pair<std::string, std::string>>& rows) {
  for (const auto& [source, message] : rows) {
    const auto grammar = compile_source(source);
    ASSERT_FALSE(grammar) << source.substr(0, 200);
    EXPECT_EQ(grammar.error().code, Code::kInvalidArgument);
    EXPECT_THAT(grammar.error().message, HasSubstr(message)) << source.substr(0, 200);
  }
}

TEST(CodePoints, SequencesSpellExactlyTheRange) {
  const std::vector<CodePointRange> ranges = {{0, 0x10FFFF},       {0x7F, 0x80},    {0x7FE, 0x801},
                                              {0xFFF0, 0x10010},   {0x800, 0xD7FF}, {0xE9, 0xE9},
                                              {0x10FFFE, 0x10FFFF}};
  for (const CodePointRange& range : ranges) {
    std::vector<ByteSequence> sequences;
    CodePoints set{range};
    for (const CodePointRange& part : set.ranges()) append_utf8_sequences(part, sequences);
    EXPECT_LE(sequences.size(), 24U);
    std::uint64_t n_texts = 0, n_wanted = 0;
    for (const ByteSequence& sequence : sequences) {
      std::uint64_t product = 1;
      for (std::size_t i = 0; i < sequence.length; ++i) {
        product *= sequence.bytes[i].last - sequence.bytes[i].first + 1U;
      }
      n_texts += product;
    }
    for (const CodePointRange& part : set.ranges()) n_wanted += part.last - part.first + 1;
    EXPECT_EQ(n_texts, n_wanted) << std::hex << static_cast<unsigned>(range.first);
  }
}

TEST(Regex, TakesWhatItDescribes) {
  check(compile_regex,
        {{"abc", {"abc"}, {"", "ab", "abcd", "xabc"}},
         {"^abc$", {"abc"}, {"abcd"}},
         {"a|bc|", {"a", "bc", ""}, {"b", "abc"}},
         {"[a-c]+", {"a", "abccba"}, {"", "d", "ad"}},
         {"[^a-c]", {"d", "é", "\n"}, {"a", "dd"}},
         {"[a\\-z]", {"a", "-", "z"}, {"b"}},
         {"[-a]", {"-", "a"}, {"b"}},
         {"a{2}", {"aa"}, {"a", "aaa"}},
         {"a{2,}", {"aa", "aaaaaa"}, {"a", ""}},
         {"a{0,3}", {"", "aaa"}, {"aaaa"}},
         {"(ab){2,3}c", {"ababc", "abababc"}, {"abc", "ababababc"}},
         {"(a|b*){30,40}", {"", "a", "bbbb", std::string(40, 'a')}, {"c", std::string(41, 'a')}},
         {"a{100,200}",
          {std::string(100, 'a'), std::string(200, 'a')},
          {std::string(99, 'a'), std::string(201, 'a')}},
         {"[é-ü]{50}",
          {[] {
            std::string s;
            for (int i = 0; i < 50; ++i) s += "ö";
            return s;
          }()},
          {"ö", "o"}},
         {"\\d{3}-\\d{4}", {"555-1234"}, {"555-123", "5551234"}},
         {"\\w+\\s\\S", {"ab_9 é", "a\tx"}, {"a  ", "é x"}},
         {"\\x41\\u00e9\\u{1F600}", {"Aé😀"}, {"Aé"}},
         {"a.c", {"abc", "aéc", "a😀c"}, {"a\nc", "ac"}},
         {"a*?b+?", {"b", "aabb"}, {"a"}},
         {"(?:a)(?<n>b)(?P<m>c)", {"abc"}, {"ab"}},
         {"a{x", {"a{x"}, {"a"}},
         {"\\.\\*\\(\\)", {".*()"}, {"a*()"}},
         {"(a{3}){2}|((b){40}){2}",
          {"aaaaaa", std::string(80, 'b')},
          {"aaa", std::string(79, 'b')}}});
}

TEST(Regex, RefusesByName) {
  check_errors(compile_regex,
               {{"(a", "never closed"},
                {"a)", "closes nothing"},
                {"[a", "never closed"},
                {"*a", "nothing to repeat"},
                {"a**", "a quantifier behind a quantifier"},
                {"a++", "possessive"},
                {"a^b", "an anchor inside"},
                {"(?=a)", "look-around"},
                {"(?<!a)b", "look-around"},
                {"(a)\\1", "not supported"},
                {"\\bword", "not supported"},
                {"\\p{L}", "not supported"},
                {"a{3,2}", "least is above its most"},
                {"a{2000000}", "more than"},
                {"[z-a]", "backwards"},
                {"[]", "no finite text"},
                {"\\", "nothing behind it"},
                {"\xff", "UTF-8"},
                {std::string(70, '(') + std::string(70, ')'), "nested more than"},
                {std::string(300'000, 'a'), "bytes"},
                // Remembering where among the last 40 letters an `a` was takes 2^40 states.
                {"(a|b)*a(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|"
                 "b)(a|b)(a|b)(a|b)"
                 "(a|b)(a|b)(a|b)",
                 "states"}});
}

TEST(Gbnf, TakesWhatItDescribes) {
  check(
      compile_gbnf,
      {{"root ::= \"yes\" | \"no\"", {"yes", "no"}, {"", "y", "yesno"}},
       {"# a comment\nroot ::= greeting \" \" name \"!\"?\ngreeting ::= \"Hi\" | \"Hello\" # more\n"
        "name ::= [A-Z] [a-z]*\n",
        {"Hi Ada!", "Hello B"},
        {"Hi ada", "Hey A"}},
       {"root ::= (\n  \"a\"\n  | \"b\" \n)+ \"c\"", {"abc", "bbac"}, {"c", "ab"}},
       {"root ::=\n  \"a\" |\n  \"b\"\n  | \"c\"\n", {"a", "b", "c"}, {"d"}},
       {"root ::= [^\\n\\]]{2,3} .", {"abc", "abcé"}, {"a]b", "ab"}},
       {"root ::= \"\\x41\\u00e9\\U0001F600\\t\\\\\\\"\"", {"Aé😀\t\\\""}, {"A"}},
       {"root ::= list\nlist ::= \"(\" (list (\",\" list)*)? \")\"",
        {"()", "(())", "((),(()))"},
        {"(", ")", "(()"}},
       {"root ::= item more\nmore ::= \",\" item more |\nitem ::= [0-9]+",
        {"1", "1,22,333"},
        {"", "1,"}},
       {"root ::= a{3} b{0,2} c{2,}\na ::= \"a\"\nb::=\"b\"\nc::=\"c\"",
        {"aaacc", "aaabbccc"},
        {"aaabbbcc", "aaac"}}});
}

TEST(Gbnf, RefusesByLine) {
  check_errors(compile_gbnf,
               {{"", "no rule 'root'"},
                {"main ::= \"a\"", "no rule 'root'"},
                {"root ::= other", "'other' is not defined"},
                {"root ::= \"a\"\nroot ::= \"b\"", "second time"},
                {"root ::= \"a", "does not end"},
                {"root ::= [a", "does not end"},
                {"root ::= (\"a\"", "never closed"},
                {"root = \"a\"", "no '::='"},
                {"root ::= \"a\" )", "ends no rule"},
                {"root ::= \"a\"{3,2}", "least is above"},
                {"root ::= <think>", "angle brackets"},
                {"root ::= \"\\q\"", "line 1"},
                {"root ::= root \"a\" | \"a\"", "begins with itself"},
                {"root ::= a\na ::= b? root \"x\" | \"y\"\nb ::= \"b\"", "begins with itself"},
                {"root ::= \"a\" root", "no finite text"},
                {"root ::= " + std::string(100, '(') + "\"a\"" + std::string(100, ')'), "nested"}});
}

TEST(Choice, IsOneOfThem) {
  const std::vector<std::string> choices = {"red", "green", "gree"};
  const auto grammar = compile_choice(choices);
  ASSERT_TRUE(grammar);
  EXPECT_TRUE(matches(**grammar, "red"));
  EXPECT_TRUE(matches(**grammar, "gree"));
  EXPECT_TRUE(matches(**grammar, "green"));
  EXPECT_FALSE(matches(**grammar, "gr"));
  EXPECT_FALSE(compile_choice({}));
}

TEST(JsonObject, IsAnyObjectOfBoundedDepth) {
  const auto grammar = compile_json_object();
  ASSERT_TRUE(grammar);
  const auto nested = [](std::size_t depth) {
    std::string text;
    for (std::size_t i = 0; i < depth; ++i) text += R"({"a":)";
    return text + "{}" + std::string(depth, '}');
  };
  for (const char* text :
       {"{}", R"({"a": 1})", R"({"a":[1,-2.5e3,"x",{"b":null}], "c":true})", "{\n\"a\":\n[ ]\n}",
        R"({"\u00e9\n\ud83d\ude00":"\/"})", "{\"é\":\"😀\"}"}) {
    EXPECT_TRUE(matches(**grammar, text)) << text;
    EXPECT_TRUE(nlohmann::json::accept(text)) << text;
  }
  for (const char* text :
       {"", "[]", "1", "{", R"({"a"})", R"({a:1})", R"({"a":01})", R"({"a":1,})", R"({"a":"\x"})",
        R"({"a":"\ud83d"})", "{\"a\":\"\n\"}", R"({"a":  1})", "{} ", " {}", "{\"a\":\"\xff\"}"}) {
    EXPECT_FALSE(matches(**grammar, text)) << text;
  }
  EXPECT_TRUE(matches(**grammar, nested(kOpenDepthMax)));
  EXPECT_FALSE(matches(**grammar, nested(kOpenDepthMax + 1)));
}

// Within the limits of size, but made to cost: each ends soon, in a grammar or in an error.
TEST(Hostile, SourcesEndSoon) {
  const auto repeat = [](std::string_view text, std::size_t n) {
    std::string out;
    for (std::size_t i = 0; i < n; ++i) out += text;
    return out;
  };
  std::string chain = "root ::= r0\n", refs = R"({"anyOf":[)", names = R"({"required":[)",
              one_of = R"({"oneOf":[)";
  for (int i = 0; i < 9000; ++i)
    chain += fmt::format("r{} ::= r{}?\n", i * 7919 % 9001, (i + 1) * 7919 % 9001);
  chain += fmt::format("r{} ::= \"x\"\n", 9000 * 7919 % 9001);
  for (int i = 0; i < 8000; ++i) refs += fmt::format(R"({{"$ref":"#","title":"{}"}},)", i);
  for (int i = 0; i < 30'000; ++i) names += fmt::format("\"{}\",", i);
  for (int i = 0; i < 5'000; ++i) one_of += fmt::format(R"({{"const":{}}},)", i);
  struct Row {
    Compile compile;
    std::string source;
  };
  const Row rows[] = {
      {compile_gbnf, chain},
      {compile_gbnf, "root ::= " + repeat("a? ", 60'000) + "\na ::= \"a\""},
      {compile_regex, repeat("a?", 20'000)},
      {compile_regex, repeat("(a|b)*a(a|b){15}|", 50) + "c"},
      {compile_regex, repeat("[^a]*", 10'000)},
      {compile_regex, "(" + repeat("[\\w\\W]?", 3'000) + "){1000}"},
      {compile_regex, repeat("(", 60) + "a" + repeat("{999})", 60)},
      {compile_json_schema, refs + "{}]}"},
      {compile_json_schema, names + "\"x\"]}"},
      {compile_json_schema, one_of + "{}]}"},
      {compile_json_schema,
       R"({"allOf":[)" + repeat(R"({"anyOf":[{"minimum":1},{"maximum":2},{"title":"x"}]},)", 3000) +
           "{}]}"},
      {compile_json_schema, R"({"pattern":")" + repeat("(a|b)*a(a|b){12}|", 200) + "\"}"},
  };
  for (const Row& row : rows) {
    const auto started = std::chrono::steady_clock::now();
    const auto grammar = row.compile(row.source);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
    EXPECT_LT(seconds.count(), 20.0)  // A sanitizer's pace on a busy machine; alone it is below 1.
        << row.source.substr(0, 60) << (grammar ? "" : grammar.error().message);
  }
}

}  // namespace
}  // namespace hearth::text::grammar
