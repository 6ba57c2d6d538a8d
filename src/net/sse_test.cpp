// Events written and parsed, however the stream is cut.
#include "net/sse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace hearth::net {
namespace {

using testing::ElementsAre;

std::vector<std::string> events_of(std::string_view stream, std::size_t piece) {
  std::vector<std::string> seen;
  SseParser parser([&](const SseEvent& e) {
    seen.push_back(e.comment.empty() ? e.event + "|" + e.data : "#" + e.comment);
  });
  for (std::size_t i = 0; i < stream.size(); i += piece) {
    EXPECT_TRUE(parser.feed(stream.substr(i, piece)).has_value());
  }
  return seen;
}

TEST(SseWriter, OneLinePerLineOfData) {
  std::string out;
  append_sse_event(out, "a\nb\r\nc", "update");
  append_sse_comment(out, "asking\nthe adviser");
  EXPECT_EQ(out, "event: update\ndata: a\ndata: b\ndata: c\n\n: asking the adviser\n\n");
}

TEST(SseParser, SameEventsHoweverCut) {
  const std::string stream =
      "\xEF\xBB\xBF" "data: one\r\n\r\n: hello\nevent: e\rdata:two\rdata: three\r\rid: 7\ndata\n\n\n";
  for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
    EXPECT_THAT(events_of(stream, piece), ElementsAre("|one", "#hello", "e|two\nthree", "|"))
        << "cut every " << piece << " bytes";
  }
}

TEST(SseParser, WriterAndParserAgree) {
  std::string out;
  append_sse_event(out, "x\n\ny", "e");
  append_sse_event(out, "");
  EXPECT_THAT(events_of(out, 3), ElementsAre("e|x\n\ny", "|"));
}

TEST(SseParser, AnUnfinishedEventIsSeenAndNotDelivered) {
  int count = 0;
  SseParser parser([&](const SseEvent&) { ++count; });
  ASSERT_TRUE(parser.feed("data: half").has_value());
  EXPECT_TRUE(parser.inside_event());
  ASSERT_TRUE(parser.feed("\n").has_value());
  EXPECT_TRUE(parser.inside_event());
  ASSERT_TRUE(parser.feed("\n").has_value());
  EXPECT_FALSE(parser.inside_event());
  EXPECT_EQ(count, 1);
}

TEST(SseParser, BothSidesOfTheEventLimit) {
  const std::string fits = "data: " + std::string(94, 'x');
  SseParser good([](const SseEvent&) {}, 100);
  EXPECT_TRUE(good.feed(fits + "\n\n").has_value());
  SseParser bad([](const SseEvent&) {}, 99);
  const auto refused = bad.feed(fits);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kCorrupt);
  EXPECT_FALSE(bad.feed("\n\n").has_value());
}

}  // namespace
}  // namespace hearth::net
