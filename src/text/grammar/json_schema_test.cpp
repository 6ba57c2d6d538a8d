// JSON schemas: texts that meet them, texts that do not, and schemas that are refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include <fmt/format.h>

#include "text/grammar/grammar.h"

namespace hearth::text::grammar {
namespace {

using ::testing::HasSubstr;

struct Case {
  std::string schema;
  std::vector<std::string> taken;
  std::vector<std::string> refused;
};

void check(const std::vector<Case>& cases) {
  for (const Case& row : cases) {
    const auto grammar = compile_json_schema(row.schema);
    ASSERT_TRUE(grammar) << row.schema << ": " << grammar.error().message;
    for (const std::string& text : row.taken)
      EXPECT_TRUE(matches(**grammar, text)) << row.schema << " takes " << text;
    for (const std::string& text : row.refused)
      EXPECT_FALSE(matches(**grammar, text)) << row.schema << " refuses " << text;
  }
}

TEST(JsonSchema, Scalars) {
  check(
      {{R"({"type":"string"})", {R"("")", R"("a\"b")", "\"é\""}, {"1", "\"", "a"}},
       {R"({"type":"string","minLength":2,"maxLength":3})",
        {R"("ab")", R"("a\n😀")", R"("\u00e9bc")"},
        {R"("a")", R"("abcd")"}},
       {R"({"type":"string","maxLength":1000})",
        {"\"" + std::string(1000, 'x') + "\""},
        {"\"" + std::string(1001, 'x') + "\""}},
       {R"({"type":"boolean"})", {"true", "false"}, {"null", "1", "True"}},
       {R"({"type":"null"})", {"null"}, {"true", ""}},
       {R"({"type":"integer"})",
        {"0", "-1", "123456789012345"},
        {"1.0", "01", "1e3", "+1", "1234567890123456"}},
       {R"({"type":"number"})", {"0", "-1.5", "1e3", "2.5E-07"}, {".5", "1.", "01", "1e", "1e100"}},
       {R"({"type":["string","null"]})", {R"("a")", "null"}, {"1"}},
       {R"({"type":"integer","nullable":true})", {"1", "null"}, {"\"a\""}},
       {R"({"enum":["a",1,null,{"b":[1,2]},"é\"\n"]})",
        {R"("a")", "1", "null", R"({"b":[1,2]})", R"("é\"\n")"},
        {"2", R"("b")"}},
       {R"({"type":"string","enum":["a",1]})", {R"("a")"}, {"1"}},
       {R"({"const":"x"})", {R"("x")"}, {R"("y")"}},
       {"true", {"1", "[1,{}]", "null"}, {"", "x"}},
       {"{}", {"1", R"({"a":[]})"}, {"["}}});
}

TEST(JsonSchema, PatternsAndFormats) {
  check(
      {{R"({"type":"string","pattern":"^[a-z]{2}$"})", {R"("ab")"}, {R"("abc")", R"("A")"}},
       {R"({"type":"string","pattern":"b+"})",
        {R"("b")", R"("abbc")", R"("\nb\"")"},
        {R"("ac")", R"("")"}},
       {R"({"type":"string","pattern":"^a|z$"})",
        {R"("a")", R"("abc")", R"("xyz")"},
        {R"("ba")", R"("b")"}},
       {R"({"pattern":"^\"\\\\.$"})", {R"("\"\\x")"}, {R"(""\x")"}},
       {R"({"pattern":"^[a-z]+$","maxLength":3})", {R"("a")", R"("abc")"}, {R"("")", R"("abcd")"}},
       {R"({"pattern":"^[a-z][a-z0-9-]*é$","minLength":4,"maxLength":5})",
        {R"("ab1é")", R"("ab-cé")"},
        {R"("abé")", R"("1bcé")", R"("abcdeé")"}},
       {R"({"pattern":"^abc$","maxLength":3})", {R"("abc")"}, {R"("ab")"}},
       {R"({"pattern":"^.{2,9}$","minLength":3})", {R"("\"\t\"")", R"("123456789")"}, {R"("ab")"}},
       {R"({"format":"date"})",
        {R"("2024-02-29")", R"("2023-12-31")", R"("2000-02-29")"},
        {R"("2023-02-29")", R"("1900-02-29")", R"("2023-04-31")", R"("0000-01-01")"}},
       {R"({"format":"time"})",
        {R"("12:30:59Z")", R"("00:00:00.5+02:00")"},
        {R"("24:00:00Z")", R"("12:30Z")"}},
       {R"({"format":"date-time"})", {R"("2024-02-29T12:30:59Z")"}, {R"("2024-02-29 12:30:59Z")"}},
       {R"({"format":"uuid"})", {R"("123e4567-e89b-12d3-a456-426614174000")"}, {R"("123")"}},
       {R"({"format":"ipv4"})", {R"("255.0.10.199")"}, {R"("256.0.0.1")", R"("01.2.3.4")"}},
       {R"({"format":"ipv6"})",
        {R"("::1")", R"("fe80::1:2")", R"("1:2:3:4:5:6:7:8")"},
        {R"("1:2")", R"("::1::2")"}},
       {R"({"format":"email"})", {R"("a.b@example.org")"}, {R"("a@")", R"("@b.c")"}},
       {R"({"format":"duration"})", {R"("P1DT2H")", R"("PT5M")"}, {R"("P")", R"("PT")"}},
       {R"({"format":"uri"})", {R"("https://example.org/a?b=c#d")"}, {R"("example")"}}});
}

TEST(JsonSchema, Multiples) {
  check({{R"({"type":"integer","multipleOf":5})",
          {"0", "5", "-10", "123456789012345"},
          {"3", "05", "-0", "12", "5.0"}},
         {R"({"type":"integer","multipleOf":1})", {"0", "7"}, {"1.5"}},
         {R"({"type":"number","multipleOf":100.0,"minimum":0,"maximum":12000})",
          {"0", "100", "12000"},
          {"12100", "-100", "150", "1e2"}},
         {R"({"type":"integer","multipleOf":250,"minimum":-1000,"exclusiveMaximum":1000})",
          {"-1000", "-250", "0", "750"},
          {"1000", "-1250", "100"}}});
}

// Each number of the range, by arithmetic.
TEST(JsonSchema, MultiplesAreAllThatThereAre) {
  const auto grammar =
      compile_json_schema(R"({"type":"integer","multipleOf":17,"minimum":-321,"maximum":1234})");
  ASSERT_TRUE(grammar) << grammar.error().message;
  for (int n = -400; n < 1300; ++n) {
    EXPECT_EQ(matches(**grammar, std::to_string(n)), n % 17 == 0 && n >= -321 && n <= 1234) << n;
  }
}

TEST(JsonSchema, Objects) {
  const std::string ab = R"("properties":{"a":{"type":"integer"},"b":{"type":"string"}})";
  check(
      {{R"({"type":"object",)" + ab + "}",
        {"{}", R"({"a":1})", R"({"b":"x"})", R"({"a":1,"b":"x"})", R"({ "a": 1, "b": "x" })"},
        {R"({"b":"x","a":1})", R"({"c":1})", R"({"a":1,})", R"({,"b":"x"})"}},
       {R"({"type":"object",)" + ab + R"(,"required":["b"]})",
        {R"({"b":"x"})", R"({"a":1,"b":"x"})"},
        {"{}", R"({"a":1})"}},
       {R"({"type":"object",)" + ab + R"(,"required":["a","b"],"additionalProperties":false})",
        {R"({"a":1,"b":"x"})"},
        {"{}", R"({"a":1})", R"({"a":1,"b":"x","c":1})"}},
       {R"({)" + ab + R"(,"additionalProperties":{"type":"null"}})",
        {"{}", R"({"c":null})", R"({"a":1,"c":null,"ab":null})", R"({"":null})"},
        {R"({"c":1})", R"({"a":null})", R"({"b":null})", R"({"\u0061":null})"}},
       {R"({"type":"object"})", {"{}", R"({"x":[1]})"}, {"[]"}},
       {R"({"type":"object","additionalProperties":{"type":"integer"},"minProperties":1,"maxProperties":2})",
        {R"({"x":1})", R"({"x":1,"y":2})"},
        {"{}", R"({"x":"a"})", R"({"x":1,"y":2,"z":3})"}},
       {R"({"type":"object","additionalProperties":true,"required":["k"]})",
        {R"({"k":[]})", R"({"k":1,"x":2})"},
        {"{}", R"({"x":2})"}},
       {R"({"type":"object","propertyNames":{"enum":["x","y"]},"additionalProperties":{"type":"integer"}})",
        {"{}", R"({"y":1})"},
        {R"({"z":1})"}},
       {R"({"type":"object","propertyNames":{"pattern":"^k[0-9]$"}})",
        {R"({"k1":null})"},
        {R"({"k":null})"}},
       {R"({"properties":{"":{"const":1},"q\"é\n":{"const":2}},"required":["","q\"é\n"]})",
        {R"({"":1,"q\"é\n":2})"},
        {"{}"}},
       {R"({"type":"object","properties":{"a":false,"b":true}})",
        {"{}", R"({"b":1})"},
        {R"({"a":1})"}}});
}

TEST(JsonSchema, Arrays) {
  check(
      {{R"({"type":"array","items":{"type":"integer"}})",
        {"[]", "[1]", "[ 1, 2\n]"},
        {R"(["a"])", "[1,]", "[1 2]"}},
       {R"({"type":"array"})", {"[]", R"([1,"a",{}])"}, {"{}"}},
       {R"({"items":{"const":1},"minItems":2,"maxItems":3})",
        {"[1,1]", "[1,1,1]"},
        {"[1]", "[1,1,1,1]", "[]"}},
       {R"({"items":{"type":"integer"},"minItems":40,"maxItems":60})",
        {[] {
          std::string s = "[0";
          for (int i = 1; i < 40; ++i) s += ",1";
          return s + "]";
        }()},
        {"[1]"}},
       {R"({"prefixItems":[{"const":1},{"const":2}]})", {"[]", "[1]", "[1,2]"}, {"[2]", "[1,2,3]"}},
       {R"({"prefixItems":[{"const":1},{"const":2}],"minItems":2,"items":{"const":3}})",
        {"[1,2]", "[1,2,3,3]"},
        {"[1]", "[1,2,4]"}},
       {R"({"prefixItems":[{"const":1}],"items":false,"minItems":1})", {"[1]"}, {"[]", "[1,1]"}},
       {R"({"prefixItems":[{"const":1}],"minItems":2})", {"[1,null]"}, {"[1]"}},
       {R"({"items":[{"const":1}],"additionalItems":{"const":2}})", {"[1,2,2]"}, {"[2]"}},
       {R"({"type":"array","maxItems":0})", {"[]"}, {"[1]"}},
       {R"({"type":"array","items":{"const":1},"uniqueItems":true,"maxItems":1})",
        {"[1]"},
        {"[1,1]"}}});
}

TEST(JsonSchema, Combinations) {
  check(
      {{R"({"anyOf":[{"type":"integer"},{"type":"string"}]})", {"1", R"("a")"}, {"null"}},
       {R"({"type":"object","properties":{"k":{"const":1}},"required":["k"],"anyOf":[{"properties":{"a":{"const":2}},"required":["a"]},{"properties":{"b":{"const":3}},"required":["b"]}]})",
        {R"({"k":1,"a":2})", R"({"k":1,"b":3})"},
        {R"({"k":1})", R"({"a":2})"}},
       {R"({"oneOf":[{"type":"object","properties":{"t":{"const":"a"}},"required":["t"]},{"type":"object","properties":{"t":{"const":"b"},"n":{"type":"integer"}},"required":["t"]},{"type":"null"}]})",
        {R"({"t":"a"})", R"({"t":"b","n":1})", "null"},
        {R"({"t":"c"})", R"({"t":"a","n":1})"}},
       {R"({"allOf":[{"type":"integer","minimum":3},{"maximum":5}]})", {"3", "5"}, {"2", "6"}},
       {R"({"allOf":[{"properties":{"a":{"type":"integer"}},"required":["a"]},{"properties":{"a":{"minimum":5},"b":{"const":1}},"required":["b"]}]})",
        {R"({"a":5,"b":1})"},
        {R"({"a":4,"b":1})", R"({"a":5})"}},
       {R"({"allOf":[{"enum":[1,2,3]},{"enum":[2,3,4]}]})", {"2", "3"}, {"1", "4"}},
       {R"({"$defs":{"n":{"type":"integer"}},"properties":{"x":{"$ref":"#/$defs/n","maximum":9,"minimum":0}},"required":["x"]})",
        {R"({"x":9})"},
        {R"({"x":10})"}},
       {R"({"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"v":{"const":1},"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["v","next"]}}})",
        {R"({"v":1,"next":null})", R"({"v":1,"next":{"v":1,"next":null}})"},
        {R"({"v":1})", R"({"v":1,"next":1})"}},
       {R"({"type":"array","items":{"$ref":"#"}})", {"[]", "[[],[[]]]"}, {"[1]"}},
       {R"({"definitions":{"a/b~c":{"const":7}},"$ref":"#/definitions/a~1b~0c"})", {"7"}, {"8"}},
       {R"({"$defs":{"a":{"properties":{"x":{"allOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/b"}]}}},"b":{"properties":{"x":{"$ref":"#/$defs/b"}}}},"$ref":"#/$defs/a"})",
        {"{}", R"({"x":{"x":{}}})"},
        {R"({"y":1})"}},
       {R"({"type":"object","properties":{"a":{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]}}})",
        {"{}", R"({"a":{"a":{}}})"},
        {R"({"a":{}})"}},
       {R"({"title":"T","description":"d","x-other":1,"default":3,"type":"integer","examples":[1]})",
        {"3"},
        {"a"}}});
}

TEST(JsonSchema, RefusesWhatCantBeEnforced) {
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"", "not valid JSON"},
      {"[]", "a schema is an object"},
      {R"({"type":"strin"})", "no type"},
      {R"({"type":[]})", "lists nothing"},
      {R"({"not":{}})", "'not'"},
      {R"({"if":{},"then":{}})", "'if'"},
      {R"({"properties":{"a":{"patternProperties":{"x":{}}}}})",
       "at #/properties/a: 'patternProperties'"},
      {R"({"type":"array","uniqueItems":true})", "'uniqueItems'"},
      {R"({"type":"array","contains":{}})", "'contains'"},
      {R"({"type":"number","multipleOf":0.1})", "whole numbers from 1 to 10000 only"},
      {R"({"type":"integer","multipleOf":0})", "'multipleOf'"},
      {R"({"type":"integer","multipleOf":"5"})", "'multipleOf'"},
      {R"({"type":"integer","multipleOf":700})", "numbers of 15 digits"},
      {R"({"type":"integer","multipleOf":7,"minimum":8,"maximum":13})", "no number"},
      {R"({"type":"string","format":"color"})", "'format' is 'color'"},
      {R"({"type":"string","pattern":"a","maxLength":3})", "a length beside"},
      {R"({"type":"string","pattern":"^a*b*$","maxLength":3})", "a length beside"},
      {R"({"type":"string","pattern":"^(ab)*$","maxLength":3})", "a length beside"},
      {R"({"type":"string","pattern":"^a$|^b$","maxLength":3})", "a length beside"},
      {R"({"type":"string","pattern":"^[a-z]{5,}$","maxLength":4})", "has that length"},
      {R"({"type":"string","pattern":"^abc$","minLength":4})", "has that length"},
      {R"({"type":"string","pattern":"^a$","format":"date"})", "'pattern' beside 'format'"},
      {R"j({"type":"string","pattern":"(?=a)"})j", "look-around"},
      {R"({"oneOf":[{"type":"integer"},{"type":"number"}]})", "'oneOf'"},
      {R"({"enum":[]})", "at least one value"},
      {R"({"enum":["a"],"minLength":3})", "'minLength' beside 'enum'"},
      {R"({"type":"integer","enum":["a"]})", "has the type"},
      {R"({"minItems":3,"maxItems":2})", "no value meets both"},
      {R"({"minLength":3,"maxLength":2})", "no value meets both"},
      {R"({"minLength":-1})", "no whole number"},
      {R"({"type":"integer","minimum":3,"maximum":2})", "minimum 3 and maximum 2"},
      {R"({"type":"integer","exclusiveMinimum":2,"exclusiveMaximum":3})", "no number"},
      {R"({"type":"number","minimum":3,"exclusiveMaximum":3})", "no number"},
      {R"({"prefixItems":[{}],"items":false,"minItems":2})", "at most 1 items"},
      {R"({"required":["a"],"additionalProperties":false})", "'a' is required"},
      {R"({"properties":{"a":{}},"maxProperties":0,"required":["a"]})", "'maxProperties' is 0"},
      {R"({"properties":{"a":{}},"minProperties":1})", "'minProperties'"},
      {R"({"$ref":"http://x/y"})", "only references into the schema itself"},
      {R"({"$ref":"#/$defs/none"})", "does not hold"},
      {R"({"$ref":"#"})", "begins with itself"},
      {R"({"allOf":[{"$ref":"#"}]})", "refer to themselves"},
      {R"({"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]})", "no finite text"},
      {"false", "no finite text"},
      {R"({"allOf":[{"type":"string"},{"type":"integer"}]})", "no finite text"},
      {std::string(3000, '['), "nested more than"},
      {"\"" + std::string(300'000, 'a') + "\"", "bytes"},
      {[] {
         std::string s;
         for (int i = 0; i < 80; ++i) s += R"({"items":)";
         return s + "{}" + std::string(80, '}');
       }(),
       "nested more than"},
      {R"({"properties":[]})", "'properties' is not an object"},
      {R"({"required":"a"})", "not a list"},
      {R"({"anyOf":[]})", "at least one"},
  };
  for (const auto& [schema, message] : rows) {
    const auto grammar = compile_json_schema(schema);
    ASSERT_FALSE(grammar) << schema.substr(0, 200);
    EXPECT_EQ(grammar.error().code, Code::kInvalidArgument);
    EXPECT_THAT(grammar.error().message, HasSubstr(message)) << schema.substr(0, 200);
  }
}

// Every number near the bounds, inside and outside, against plain comparison.
TEST(JsonSchema, IntegerRangesAreExact) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 300; ++round) {
    const auto draw = [&] {
      const auto scale = static_cast<std::int64_t>(std::pow(10, random() % 7));
      return static_cast<std::int64_t>(random() % 2000) * scale / 100 - 10 * scale / 2;
    };
    std::int64_t low = draw(), high = draw();
    if (low > high) std::swap(low, high);
    const auto grammar = compile_json_schema(
        fmt::format(R"({{"type":"integer","minimum":{},"maximum":{}}})", low, high));
    ASSERT_TRUE(grammar) << grammar.error().message;
    const auto probe = [&](std::int64_t value) {
      EXPECT_EQ(matches(**grammar, std::to_string(value)), value >= low && value <= high)
          << value << " in " << low << ".." << high;
    };
    for (std::int64_t d = -12; d <= 12; ++d) {
      probe(low + d);
      probe(high + d);
      probe(d);
    }
    for (int i = 0; i < 50; ++i) probe(draw());
    EXPECT_FALSE(matches(**grammar, "-0"));
    EXPECT_FALSE(matches(**grammar, "00"));
  }
}

TEST(JsonSchema, DecimalRangesAreExact) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 300; ++round) {
    const auto draw = [&] {
      const double scale = std::pow(10, static_cast<int>(random() % 5));
      return (static_cast<double>(random() % 20001) - 10000) / scale;
    };
    double low = draw(), high = draw();
    if (low > high) std::swap(low, high);
    const bool low_exclusive = random() % 2 != 0, high_exclusive = random() % 2 != 0;
    if (low == high) continue;
    const auto grammar = compile_json_schema(fmt::format(
        R"({{"type":"number","{}":{},"{}":{}}})", low_exclusive ? "exclusiveMinimum" : "minimum",
        low, high_exclusive ? "exclusiveMaximum" : "maximum", high));
    ASSERT_TRUE(grammar) << grammar.error().message;
    const auto probe = [&](double value) {
      const std::string text = fmt::format("{:.{}f}", value, random() % 7);
      const double read = std::stod(text);
      if (read == 0 && text[0] == '-') return;
      const bool is_in = (low_exclusive ? read > low : read >= low) &&
                         (high_exclusive ? read < high : read <= high);
      EXPECT_EQ(matches(**grammar, text), is_in) << text << " in " << low << ".." << high;
    };
    for (const double centre : {low, high, 0.0, (low + high) / 2}) {
      for (int i = -5; i <= 5; ++i) {
        probe(centre + i);
        probe(centre + i * 0.1);
        probe(centre + i * 0.0001);
      }
    }
  }
}

}  // namespace
}  // namespace hearth::text::grammar
