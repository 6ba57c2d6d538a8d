// Behaviour of floor 0: what every other room leans on.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/large_memory.h"
#include "base/mapped_pages.h"
#include "base/temp_folder_for_test.h"
#include "base/toml.h"
#include "base/utf8.h"
#include "base/utf8_bounds.h"

namespace hearth {
namespace {

TEST(Digest, Sha256MatchesFips180Example) {
  EXPECT_EQ(to_hex(sha256("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Digest, StreamEqualsWhole) {
  Sha256Stream stream;
  stream.update("ab");
  stream.update("c");
  EXPECT_EQ(stream.finish(), sha256("abc"));
}

TEST(File, AtomicWriteRoundTripsAndMakesFolders) {
  const TempFolder folder;
  const auto path = folder.path() / "a" / "b.txt";
  ASSERT_TRUE(write_file_atomic(path, "first"));
  ASSERT_TRUE(write_file_atomic(path, "second"));
  EXPECT_EQ(read_file(path).value(), "second");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(path.parent_path()), {}), 1);
}

TEST(File, ReadRefusesMoreThanItsLimit) {
  const TempFolder folder;
  const auto path = folder.path() / "f";
  ASSERT_TRUE(write_file_atomic(path, "12345"));
  EXPECT_TRUE(read_file(path, 5));
  EXPECT_EQ(read_file(path, 4).error().code, Code::kInvalidArgument);
}

TEST(File, MapsWholeAndEmptyAndRefusesFolders) {
  const TempFolder folder;
  ASSERT_TRUE(write_file_atomic(folder.path() / "f", "xyz"));
  ASSERT_TRUE(write_file_atomic(folder.path() / "e", ""));
  EXPECT_EQ(MappedFile::open(folder.path() / "f")->size(), 3U);
  EXPECT_EQ(MappedFile::open(folder.path() / "e")->size(), 0U);
  EXPECT_EQ(MappedFile::open(folder.path()).error().code, Code::kInvalidArgument);
  EXPECT_EQ(MappedFile::open(folder.path() / "none").error().code, Code::kNotFound);
}

TEST(Utf8, RefusesOverlongSurrogateAndTooLarge) {
  EXPECT_FALSE(is_valid_utf8("\xC0\x80"));
  EXPECT_FALSE(is_valid_utf8("\xED\xA0\x80"));
  EXPECT_FALSE(is_valid_utf8("\xF4\x90\x80\x80"));
  EXPECT_TRUE(is_valid_utf8("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"));
}

TEST(Utf8, PrefixHoldsBackOnlyWhatCanStillComplete) {
  EXPECT_EQ(complete_utf8_prefix("ab"), 2U);
  EXPECT_EQ(complete_utf8_prefix("ab\xF0\x9F\x98"), 2U);
  EXPECT_EQ(complete_utf8_prefix("ab\xF0\x9F\x98\x80"), 6U);
  EXPECT_EQ(complete_utf8_prefix("ab\xC0"), 3U);          // Can never complete.
  EXPECT_EQ(complete_utf8_prefix("ab\xED\xA0"), 4U);      // A surrogate: neither.
  EXPECT_EQ(complete_utf8_prefix("\x80\x80\x80\x80"), 4U);
}

TEST(Utf8, BoundsAreBetweenSequences) {
  constexpr std::string_view kText = "a\xF0\x9F\x98\x80" "b";
  const std::size_t up_to[] = {0, 1, 1, 1, 1, 5, 6, 6}, from[] = {0, 1, 5, 5, 5, 5, 6, 6};
  for (std::size_t at = 0; at < std::size(up_to); ++at) {
    EXPECT_EQ(utf8_bound_up_to(kText, at), up_to[at]) << at;
    EXPECT_EQ(utf8_bound_from(kText, at), from[at]) << at;
  }
  const std::string garbage(100, '\x80');
  EXPECT_EQ(utf8_bound_up_to(garbage, 50), 50U);
  EXPECT_EQ(utf8_bound_from(garbage, 50), 50U);
  EXPECT_EQ(utf8_bound_up_to(garbage, 2), 2U);
  EXPECT_EQ(utf8_bound_from(garbage, 98), 100U);
}

TEST(Utf8, EncodeInvertsDecode) {
  for (const char32_t c : {U'a', U'\u00e9', U'\u20ac', U'\U0001F600'}) {
    std::string text;
    append_utf8(text, c);
    EXPECT_EQ(decode_utf8(text).code_point, c);
    EXPECT_EQ(decode_utf8(text).length, text.size());
  }
}

TEST(Clock, FormatsInUtc) {
  EXPECT_EQ(format_iso8601(1'000'000), "1970-01-01T00:00:01.000000Z");
  EXPECT_EQ(format_iso8601(-1), "1969-12-31T23:59:59.999999Z");
}

TEST(Clock, ParsesWhatItFormatsAndNothingElse) {
  EXPECT_EQ(parse_iso8601("2026-11-20T09:30:00"), 1795167000);
  EXPECT_EQ(parse_iso8601(format_iso8601(1'795'167'000'000'000)), 1795167000);
  for (const char* wrong : {"", "2026-11-20", "2026-11-20 09:30:00", "2026-06-31T00:00:00",
                            "2026-11-20T24:00:00", "2026-11-20T09:30:00+01:00", "x026-11-20T09:30:00"}) {
    EXPECT_FALSE(parse_iso8601(wrong)) << wrong;
  }
}

std::string toml_problem(std::string_view text) {
  const auto table = parse_toml(text);
  return table ? "" : table.error().message;
}

TEST(Toml, KeepsLettersWhereverTheyStand) {
  const auto table = parse_toml("\xEF\xBB\xBF# größer\nplain = \"é ~ ~c3~a9\" # é\nliteral = 'ß\\u007e'\n\"größe ~\" = 1\n"
                                "long = \"\"\"a\\\n  é\n€\"\"\"\n[\"größer\"]\nlist = [[\"ł\"], {\"ż\" = 'ó'}]\n");
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_EQ((*table)["plain"].value<std::string>(), "é ~ ~c3~a9");
  EXPECT_EQ((*table)["literal"].value<std::string>(), "ß\\u007e");
  EXPECT_EQ((*table)["größe ~"].value<int>(), 1);
  EXPECT_EQ((*table)["long"].value<std::string>(), "aé\n€");
  EXPECT_EQ((*table)["größer"]["list"][0][0].value<std::string>(), "ł");
  EXPECT_EQ((*table)["größer"]["list"][1]["ż"].value<std::string>(), "ó");
  EXPECT_EQ(table->find("größe ~")->first.source().begin.line, 4U);
  EXPECT_EQ(table->get("größe ~")->source().begin.line, 4U);
}

TEST(Toml, KeepsWhatItsOwnEscapesLookLike) {
  const auto table = parse_toml("x = \"\\u007e41 \\U0000007E ~ é\"");
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_EQ((*table)["x"].value<std::string>(), "~41 ~ ~ é");
  EXPECT_EQ(toml_problem("x = \"\\u007e \\u005e \\u007c \\u0060 é\""), "line 1: \\u may not name each of ~^|`: write one of them as it is");
  EXPECT_EQ(toml_problem("x = \"\\u007e \\u005e \\u007c \\u0060\""), "");
}

TEST(Toml, NamesTheLine) {
  EXPECT_EQ(toml_problem("a = 1\n\né = 3").substr(0, 7), "line 3:");
  EXPECT_NE(toml_problem("é = 3").find("a letter beyond ASCII"), std::string::npos);
  EXPECT_NE(toml_problem("a = 1 é").find("a letter beyond ASCII"), std::string::npos);
  EXPECT_EQ(toml_problem("a = 1\nb = \"\xC3\""), "line 2: this is no UTF-8");
  EXPECT_EQ(toml_problem("\"é\" = 1\n\"\\u00e9\" = 2"), "line 1: the key is there already");
  EXPECT_EQ(toml_problem("\"é\" = 1\n\"é\" = 2").find("c3"), std::string::npos) << "no escape is shown";
  EXPECT_EQ(toml_problem("~ = 1").find("beyond ASCII"), std::string::npos);
}

TEST(LargeMemoryTest, BeginsAtALargePageAndGivesBackWhatIsNotKept) {
  EXPECT_FALSE(LargeMemory(0));
  EXPECT_FALSE(LargeMemory(SIZE_MAX)) << "refused";
  for (const Reserve reserve : {Reserve::kAll, Reserve::kTouched}) {
    LargeMemory memory(2 * kLargePageBytes + 1, reserve);
    ASSERT_TRUE(memory);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.data()) % kLargePageBytes, 0U);
    EXPECT_GT(memory.size(), 2 * kLargePageBytes);
    memory.data()[memory.size() - 1] = std::byte{1};
    memory.keep(kLargePageBytes + 1);
    EXPECT_EQ(memory.size(), 2 * kLargePageBytes);
    EXPECT_EQ(memory.data()[memory.size() - 1], std::byte{});
    memory.keep(memory.size() + 1);
    EXPECT_EQ(memory.size(), 2 * kLargePageBytes);
    const LargeMemory moved = std::move(memory);
    EXPECT_TRUE(moved);
    EXPECT_FALSE(memory);  // NOLINT: what is left of it is said.
  }
  LargeMemory memory(1);
  memory.keep(0);
  EXPECT_FALSE(memory);
}

TEST(LargeMemoryDeathTest, NobodyWritesToWhatIsSealed) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  LargeMemory memory(1);
  memory.seal();
  EXPECT_EQ(memory.data()[0], std::byte{});
  EXPECT_DEATH(memory.data()[0] = std::byte{1}, "");
}

}  // namespace
}  // namespace hearth
