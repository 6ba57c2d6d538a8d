#include "privacy/placeholders.h"

#include <gtest/gtest.h>

#include <random>

namespace hearth::privacy {
namespace {

Spans spans_of(std::string_view text, std::initializer_list<std::pair<std::string_view, std::string_view>> values) {
  Spans spans;
  std::size_t from = 0;
  for (const auto& [value, type] : values) {
    const std::size_t at = text.find(value, from);
    spans.push_back({at, at + value.size(), type, "test"});
    from = at + value.size();
  }
  return spans;
}

// A map with PERSON_1 "Ann Lee", PERSON_2 "Bob" and CREDIT_CARD_1 "4111".
Placeholders sample() {
  Placeholders map;
  const std::string_view text = "Ann Lee met Bob and Ann Lee paid with 4111";
  EXPECT_EQ(map.redact(text, spans_of(text, {{"Ann Lee", "PERSON"}, {"Bob", "PERSON"}, {"Ann Lee", "PERSON"}, {"4111", "CREDIT_CARD"}})),
            "[PERSON_1] met [PERSON_2] and [PERSON_1] paid with [CREDIT_CARD_1]");
  return map;
}

std::string restored(const Placeholders& map, std::string_view text) {
  RestoreReport report;
  return restore(map, text, report);
}

TEST(Placeholders, StayTheSameInOneConversation) {
  Placeholders map = sample();
  const std::string_view next = "Bob and Cy";
  EXPECT_EQ(map.redact(next, spans_of(next, {{"Bob", "PERSON"}, {"Cy", "PERSON"}})), "[PERSON_2] and [PERSON_3]");
  EXPECT_EQ(map.size(), 4U);
}

TEST(Restorer, TakesWhatModelsMakeOfPlaceholders) {
  const Placeholders map = sample();
  for (const std::string_view form : {"[PERSON_1]", "[person_1]", "[Person 1]", "[PERSON-1]", "[ PERSON_1 ]", "PERSON_1",
                                      "\\[PERSON\\_1\\]", "[PERSON\\_1]", "[PERSON1]"}) {
    EXPECT_EQ(restored(map, form), "Ann Lee") << form;
    EXPECT_EQ(restored(map, "so " + std::string(form) + " is"), "so Ann Lee is") << form;
  }
  EXPECT_EQ(restored(map, "[PERSON_1]'s card [credit card 1]."), "Ann Lee's card 4111.");
  EXPECT_EQ(restored(map, "[PERSON_2's]"), "Bob's");
  EXPECT_EQ(restored(map, "C:\\Users\\[PERSON_2]\\x"), "C:\\Users\\Bob\\x");
  EXPECT_EQ(restored(map, "**[PERSON_2]**, (PERSON_2)"), "**Bob**, (Bob)");
}

TEST(Restorer, LeavesOtherTextAlone) {
  const Placeholders map = sample();
  for (const std::string_view text : {"person 1 of 3", "person_1", "a[0] = b[1]", "[see below]", "[link](x)", "SUPERPERSON_1", "PERSON_1x",
                                      "[1]", "[", "\\", "a\\[b", "PERSON", "persons", "[x] [ ] [PER"}) {
    RestoreReport report;
    EXPECT_EQ(restore(map, text, report), text);
    EXPECT_TRUE(report.is_clean()) << text;
  }
}

TEST(Restorer, ReportsWhatItCannotPutBack) {
  const Placeholders map = sample();
  RestoreReport report;
  EXPECT_EQ(restore(map, "[PERSON_9], [PERSON] and [PERSON_1", report), "[PERSON_9], [PERSON] and [Ann Lee");
  EXPECT_EQ(report.unknown, std::vector<std::string>{"[PERSON_9]"});
  EXPECT_EQ(report.mangled, (std::vector<std::string>{"[PERSON", "[PERSON_"}));
}

TEST(Restorer, TextThatLooksLikeAPlaceholderComesBackAsItWas) {
  Placeholders map;
  const std::string_view text = "literally [PERSON_1], said Ann";
  const std::string hidden = map.redact(text, spans_of(text, {{"Ann", "PERSON"}}));
  EXPECT_EQ(hidden, "literally [TEXT_1], said [PERSON_1]");
  EXPECT_EQ(restored(map, hidden), text);
}

TEST(Restorer, SplitsChangeNothing) {
  const Placeholders map = sample();
  const std::string_view pool[] = {"[PERSON_1]", "[PERSON_2]'s", "PERSON_1", " ", "[", "]", "\\[PERSON\\_2\\]", "person", "_1", "\\",
                                   "[Person 2]", "[PERSON_77]", "[PERSON_", "[CREDIT_CARD_1]", "x", "\n", "1", "CREDIT_", "\xC3\xA9", "'s]"};
  std::mt19937 random(11);
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (std::size_t n = random() % 12; n > 0; --n) text += pool[random() % std::size(pool)];
    RestoreReport whole_report;
    const std::string whole = restore(map, text, whole_report);
    Restorer restorer(map);
    std::string pieces;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t length = 1 + random() % 7;
      pieces += restorer.feed(std::string_view(text).substr(at, length));
      at += length;
    }
    pieces += restorer.finish();
    ASSERT_EQ(pieces, whole) << text;
    ASSERT_EQ(restorer.report().unknown, whole_report.unknown) << text;
    ASSERT_EQ(restorer.report().mangled, whole_report.mangled) << text;
  }
}

TEST(Placeholders, ValuesFitIntoJson) {
  Placeholders placeholders;
  const std::string text = "Ann \"A\" Lee\n";
  EXPECT_EQ(placeholders.redact(text, {{0, text.size(), "PERSON", "t", Rank::kForm}}), "[PERSON_1]");
  Restorer restorer(placeholders, RestoredInto::kJson);
  std::string out = restorer.feed("{\"who\": \"[PERS");
  out += restorer.feed("ON_1]\"}");
  EXPECT_EQ(out + restorer.finish(), R"({"who": "Ann \"A\" Lee\u000a"})");
}

}  // namespace
}  // namespace hearth::privacy
