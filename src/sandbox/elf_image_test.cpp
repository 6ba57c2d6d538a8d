// The image's parser on a good file, on every prefix of it, and with every byte of what matters
// changed.
#include "sandbox/worker/elf_image.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <string>

#include "sandbox/test_support/elf_harness.h"
#include "sandbox/test_support/jail_fixture.h"

namespace hearth::sandbox {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// The reason why `image` is refused, or "" if it is not.
std::string why_refused(const std::string& image) {
  ImagePlan plan;
  Trouble trouble;
  if (!load_into_memory(bytes_of(image), plan, trouble)) return trouble.text();
  EXPECT_LT(plan.entry, plan.span_bytes);
  return "";
}

// A program header of the image, to be changed in place.
template <class Change>
std::string with_header(std::string image, std::uint32_t type, Change change) {
  Elf64_Ehdr header;
  std::memcpy(&header, image.data(), sizeof header);
  for (int i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr part;
    char* at = image.data() + header.e_phoff + static_cast<std::size_t>(i) * sizeof part;
    std::memcpy(&part, at, sizeof part);
    if (part.p_type != type) continue;
    change(part);
    std::memcpy(at, &part, sizeof part);
    break;
  }
  return image;
}

// The same for the entry `tag` of the dynamic section.
std::string with_entry(std::string image, std::int64_t tag, Elf64_Dyn entry) {
  std::uint64_t begin = 0, size = 0;
  with_header(image, PT_DYNAMIC,
              [&](const Elf64_Phdr& part) { begin = part.p_offset, size = part.p_filesz; });
  for (std::uint64_t at = begin; at < begin + size; at += sizeof entry) {
    Elf64_Dyn here;
    std::memcpy(&here, image.data() + at, sizeof here);
    if (here.d_tag != tag) continue;
    std::memcpy(image.data() + at, &entry, sizeof entry);
    break;
  }
  return image;
}

struct ElfImageTest : ::testing::Test {
  std::string good;

  void SetUp() override {
    if (std::string_view(HEARTH_ATTEMPTS_PLAIN).empty())
      GTEST_SKIP() << "no kernels are built for this processor";
    good = must(read_file(HEARTH_ATTEMPTS_PLAIN));
  }
};

TEST_F(ElfImageTest, TakesAGoodImageAndNoPrefixOfWhatItNeeds) {
  EXPECT_EQ(why_refused(good), "");
  std::uint64_t needed = 0;
  ImagePlan plan;
  Trouble trouble;
  ASSERT_TRUE(plan_image(bytes_of(good), plan, trouble));
  for (std::uint32_t i = 0; i < plan.n_segments; ++i) {
    needed = std::max(needed, plan.segments[i].file_offset + plan.segments[i].file_bytes);
  }
  for (std::uint64_t size = 0; size < needed; ++size)
    EXPECT_NE(why_refused(good.substr(0, size)), "") << size;
}

TEST_F(ElfImageTest, SurvivesEveryChangedByte) {
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (const int change : {0x01, 0x80, 0xFF}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ change);
      (void)why_refused(bad);
    }
  }
}

TEST_F(ElfImageTest, NamesWhatIsWrong) {
  const auto load = [&](auto change) { return why_refused(with_header(good, PT_LOAD, change)); };
  EXPECT_EQ(why_refused(""), "it is no ELF file");
  EXPECT_NE(load([](Elf64_Phdr& part) {
              part.p_flags = PF_R | PF_W | PF_X;
            }).find("both writable and executable"),
            std::string::npos);
  EXPECT_NE(load([](Elf64_Phdr& part) { part.p_filesz = ~0ULL; }).find("beyond the end"),
            std::string::npos);
  EXPECT_NE(load([](Elf64_Phdr& part) { part.p_offset = ~0ULL; }).find("beyond the end"),
            std::string::npos);
  EXPECT_NE(load([](Elf64_Phdr& part) { part.p_vaddr = ~0ULL - 4095; }).find("addresses"),
            std::string::npos);
  EXPECT_NE(load([](Elf64_Phdr& part) { part.p_memsz = ~0ULL; }).find("addresses"),
            std::string::npos);
  EXPECT_NE(load([](Elf64_Phdr& part) { part.p_memsz = 1; }).find("larger in the file"),
            std::string::npos);
  EXPECT_NE(load([](Elf64_Phdr& part) { part.p_vaddr += 8; }).find("aligned"), std::string::npos);
  EXPECT_NE(load([](Elf64_Phdr& part) { part.p_memsz += 1; }).find("read-only segment"),
            std::string::npos);
  EXPECT_NE(load([](Elf64_Phdr& part) { part.p_vaddr = 0x1000; }).find("overlap"),
            std::string::npos);
  EXPECT_NE(load([](Elf64_Phdr& part) { part.p_type = PT_TLS; }).find("thread-local"),
            std::string::npos);
  EXPECT_NE(load([](Elf64_Phdr& part) { part.p_type = PT_INTERP; }).find("program"),
            std::string::npos);

  const auto entry = [&](std::int64_t tag, std::int64_t now, std::uint64_t value) {
    return why_refused(with_entry(good, tag, {now, {value}}));
  };
  EXPECT_NE(entry(DT_GNU_HASH, DT_INIT, 0x1000).find("initialisation"), std::string::npos);
  EXPECT_NE(entry(DT_GNU_HASH, DT_INIT_ARRAY, 0x1000).find("constructors"), std::string::npos);
  EXPECT_NE(entry(DT_GNU_HASH, DT_NEEDED, 1).find("another library"), std::string::npos);
  EXPECT_NE(entry(DT_GNU_HASH, DT_TEXTREL, 0).find("-fPIC"), std::string::npos);
  EXPECT_NE(entry(DT_GNU_HASH, DT_FLAGS, DF_TEXTREL).find("-fPIC"), std::string::npos);
  EXPECT_NE(entry(DT_GNU_HASH, DT_DEBUG, 0).find("hash"), std::string::npos);
  EXPECT_NE(entry(DT_GNU_HASH, DT_GNU_HASH, ~0ULL - 100).find("hash"), std::string::npos);
  EXPECT_NE(entry(DT_STRSZ, DT_STRSZ, ~0ULL).find("names"), std::string::npos);
  EXPECT_NE(entry(DT_SYMTAB, DT_SYMTAB, 1ULL << 40).find("symbol"), std::string::npos);
  EXPECT_NE(entry(DT_RELA, DT_RELA, ~0ULL - 10).find("relocations"), std::string::npos);
  EXPECT_NE(entry(DT_RELASZ, DT_RELASZ, ~0ULL).find("relocations"), std::string::npos);
}

}  // namespace
}  // namespace hearth::sandbox
