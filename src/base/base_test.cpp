// Behaviour of floor 0: what every other room leans on.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/utf8.h"

namespace hearth {
namespace {

class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "hearth_base_XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

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

}  // namespace
}  // namespace hearth
