#include "engine/stop_matcher.h"

#include <gtest/gtest.h>

#include <random>

#include "base/utf8.h"

namespace hearth::engine {
namespace {

struct Outcome {
  std::string text;
  std::string stop;
  bool operator==(const Outcome&) const = default;
};

Outcome feed(const std::vector<std::string>& stops, const std::vector<std::string>& pieces) {
  StopMatcher matcher(stops);
  Outcome outcome;
  bool is_done = false;
  for (const std::string& piece : pieces) {
    is_done = matcher.push(piece, outcome.text);
    if (is_done) break;
  }
  if (!is_done) matcher.flush(outcome.text);
  if (matcher.found() != nullptr) outcome.stop = *matcher.found();
  return outcome;
}

TEST(StopMatcher, CutsBeforeTheStopString) {
  EXPECT_EQ(feed({"END"}, {"one ENDtwo"}), (Outcome{"one ", "END"}));
  EXPECT_EQ(feed({"END"}, {"one E", "N", "D two"}), (Outcome{"one ", "END"}));
  EXPECT_EQ(feed({"END"}, {"one E", "N"}), (Outcome{"one EN", ""}));
  EXPECT_EQ(feed({}, {"a", "b"}), (Outcome{"ab", ""}));
}

TEST(StopMatcher, FirstCompleteWinsThenTheLongest) {
  EXPECT_EQ(feed({"abcd", "bc"}, {"xabcd"}), (Outcome{"xa", "bc"}));
  EXPECT_EQ(feed({"c", "abc"}, {"xabc"}), (Outcome{"x", "abc"}));
}

TEST(StopMatcher, FallsBackInsideRepeats) {
  EXPECT_EQ(feed({"aab"}, {"aaa", "ab"}), (Outcome{"aa", "aab"}));
  EXPECT_EQ(feed({"\n\nHuman:"}, {"\n", "\n", "\n", "Human", ":"}), (Outcome{"\n", "\n\nHuman:"}));
}

TEST(StopMatcher, HoldsBackOnlyWhatCouldBecomeAStop) {
  StopMatcher matcher({"User:", "###"});
  std::string out;
  EXPECT_FALSE(matcher.push("hello Us", out));
  EXPECT_EQ(out, "hello ");
  EXPECT_FALSE(matcher.push("ed #", out));
  EXPECT_EQ(out, "hello Used ");
  EXPECT_FALSE(matcher.push("1", out));
  EXPECT_EQ(out, "hello Used #1");
}

TEST(StopMatcher, ChecksLimits) {
  EXPECT_TRUE(check_stop_strings(std::vector<std::string>(kStopStringsMax, "x")));
  EXPECT_FALSE(check_stop_strings(std::vector<std::string>(kStopStringsMax + 1, "x")));
  EXPECT_FALSE(check_stop_strings({""}));
  EXPECT_TRUE(check_stop_strings({std::string(kStopBytesMax, 'x')}));
  EXPECT_FALSE(check_stop_strings({std::string(kStopBytesMax + 1, 'x')}));
  EXPECT_FALSE(check_stop_strings({"\xC3"}));
}

// Any way to cut the text into pieces gives what a search over the whole text gives, and what is
// shown never ends inside a code point.
TEST(StopMatcher, DoesNotDependOnHowTheTextIsCut) {
  std::mt19937 random(11);
  const std::vector<std::string> letters = {"a", "b", "\xC3\xA9", "\xC3\xA8", "\xF0\x9F\x98\x80"};
  const auto word = [&](std::size_t n) {
    std::string text;
    for (std::size_t i = 0; i < n; ++i) text += letters[random() % letters.size()];
    return text;
  };
  int n_found = 0;
  for (int round = 0; round < 3000; ++round) {
    const std::vector<std::string> stops = {word(1 + random() % 4), word(2 + random() % 3)};
    const std::string text = word(random() % 24);
    // The reference: the earliest end, then the longest.
    Outcome expected{text, ""};
    for (std::size_t end = 1; end <= text.size() && expected.stop.empty(); ++end) {
      for (const std::string& stop : stops) {
        if (stop.size() > expected.stop.size() &&
            std::string_view(text).substr(0, end).ends_with(stop)) {
          expected = {text.substr(0, end - stop.size()), stop};
        }
      }
    }
    std::vector<std::string> pieces;
    for (std::size_t i = 0; i < text.size();) {
      std::size_t n = 0;
      for (std::size_t k = 1 + random() % 3; k > 0 && i + n < text.size(); --k) {
        n += decode_utf8(std::string_view(text).substr(i + n)).length;
      }
      pieces.push_back(text.substr(i, n));
      i += n;
    }
    ASSERT_EQ(feed(stops, pieces), expected) << text;
    n_found += expected.stop.empty() ? 0 : 1;
    StopMatcher matcher(stops);
    for (const std::string& piece : pieces) {
      std::string shown;
      const bool is_done = matcher.push(piece, shown);
      ASSERT_TRUE(is_valid_utf8(shown));
      if (is_done) break;
    }
  }
  EXPECT_GT(n_found, 1000);
}

}  // namespace
}  // namespace hearth::engine
