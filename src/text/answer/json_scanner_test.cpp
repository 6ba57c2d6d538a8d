#include "text/answer/json_scanner.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace hearth::text {
namespace {

TEST(JsonScanner, AgreesWithAParser) {
  const char* const texts[] = {
      "{}", "[]", "{\"a\":1}", "{\"a\":[1,2,{\"b\":null}]}", "\"x\\u00e9\\n\"", "-0.5e+3", "0", "true",
      "", "{", "}", "[1,]", "{,}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "[1 2]", "01", "1.", "-", "tru",
      "\"\\x\"", "\"\\u12g4\"", "{a:1}", "{'a':1}", "[1}", "\"unfinished", "1 1", "nul", "+1", "[[[]]]",
      "  {\"a\": 1}  ", "{\"a\":1}x"};
  for (const std::string text : texts) {
    EXPECT_EQ(is_json(text), nlohmann::json::accept(text)) << text;
  }
}

TEST(JsonScanner, FindsTheEnd) {
  bool is_bad = false;
  EXPECT_EQ(json_value_length("{\"a\": \"}\"} tail", is_bad), 10U);
  EXPECT_EQ(json_value_length("12, 13", is_bad), 2U);
  EXPECT_EQ(json_value_length("{\"a\"", is_bad), std::string_view::npos);
  EXPECT_FALSE(is_bad);
  EXPECT_EQ(json_value_length("{]", is_bad), std::string_view::npos);
  EXPECT_TRUE(is_bad);
}

TEST(JsonScanner, NestsUpToItsLimit) {
  const std::size_t limit = JsonScanner::kDepthMax;
  EXPECT_TRUE(is_json(std::string(limit, '[') + std::string(limit, ']')));
  EXPECT_FALSE(is_json(std::string(limit + 1, '[') + std::string(limit + 1, ']')));
}

TEST(JsonScanner, ScansTheRestOfAnObject) {
  JsonScanner rest(/*in_object=*/true);
  std::string seen;
  for (const char byte : std::string(", \"id\": [1]} x")) {
    seen.push_back(byte);
    const auto verdict = rest.feed(byte);
    ASSERT_NE(verdict, JsonScanner::Verdict::kBad) << seen;
    if (verdict == JsonScanner::Verdict::kEnds) break;
  }
  EXPECT_EQ(seen, ", \"id\": [1]}");
}

TEST(JsonScanner, EscapesForStrings) {
  std::string out;
  append_json_escaped(out, "a\"\\\n\t\x01é");
  EXPECT_EQ(out, "a\\\"\\\\\\n\\t\\u0001é");
}

}  // namespace
}  // namespace hearth::text
