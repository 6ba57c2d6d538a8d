#include "text/vocab_image.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>

#include "base/digest.h"

namespace hearth::text {
namespace {

constexpr std::uint64_t kMagic = 0x4D49'4341'564F'4348;  // "HCOVACIM" in memory.
constexpr std::size_t kAlignment = 64;

enum Section : std::size_t {
  kPre,
  kTextStarts,
  kTextBytes,
  kTypes,
  kEndTokens,
  kIndex,
  kUserDefined,
  kAllSpecial,
  kMerges,
  kRanks,
  kSections
};

struct Place {
  std::uint64_t offset = 0, bytes = 0;
};

struct Header {
  std::uint64_t magic = kMagic;
  std::uint32_t version = kVocabImageVersion;
  std::uint32_t header_bytes = sizeof(Header);
  std::uint64_t image_bytes = 0;
  std::uint64_t sum = 0;  // hash64 of the whole image with this field 0.
  VocabFacts facts;
  std::array<Place, kSections> places;
};
static_assert(std::is_trivially_copyable_v<Header> && sizeof(Header) % 8 == 0);

std::size_t aligned(std::size_t n) { return (n + kAlignment - 1) / kAlignment * kAlignment; }

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

std::array<std::span<const std::byte>, kSections> sections_of(const VocabDraft& draft) {
  std::array<std::span<const std::byte>, kSections> sections;
  sections[kPre] = std::as_bytes(std::span(draft.pre));
  sections[kTextStarts] = bytes_of(draft.texts.starts);
  sections[kTextBytes] = std::as_bytes(std::span(draft.texts.bytes));
  sections[kTypes] = bytes_of(draft.types);
  sections[kEndTokens] = bytes_of(draft.end_tokens);
  sections[kIndex] = bytes_of(draft.index);
  sections[kUserDefined] = bytes_of(draft.user_defined);
  sections[kAllSpecial] = bytes_of(draft.all_special);
  sections[kMerges] = bytes_of(draft.merges);
  sections[kRanks] = bytes_of(draft.ranks);
  return sections;
}

std::uint64_t sum_of(Header header, std::span<const std::byte> image) {
  header.sum = 0;
  const std::uint64_t head = hash64(std::as_bytes(std::span(&header, 1)));
  return hash64(image.subspan(sizeof header), head);
}

std::unexpected<Error> corrupt(std::string_view what) {
  return fail(Code::kCorrupt, fmt::format("the vocabulary's image {}", what));
}

// Reads an image section by section; whatever a table rests on is checked here, once.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> image) : image_(image) {}

  Result<VocabTables> run() {
    HEARTH_TRY_VOID(read_header());
    HEARTH_TRY_VOID(check_sum());
    VocabTables tables;
    tables.facts = header_.facts;
    HEARTH_TRY(const auto pre, section<char>(kPre));
    tables.pre = {pre.data(), pre.size()};
    HEARTH_TRY_VOID(read_texts(tables));
    HEARTH_TRY(tables.types, per_token<TokenType>(kTypes, true));
    HEARTH_TRY(tables.end_tokens, per_token<std::uint8_t>(kEndTokens, false));
    HEARTH_TRY(tables.ranks, per_token<std::uint32_t>(kRanks, true));
    HEARTH_TRY_VOID(read_tables(tables));
    HEARTH_TRY_VOID(check_ids(tables.facts));
    return tables;
  }

 private:
  Result<> read_header() {
    if (image_.size() < sizeof(Header)) return corrupt("is cut off");
    std::memcpy(&header_, image_.data(), sizeof header_);
    if (header_.magic != kMagic) return corrupt("does not begin as one");
    if (header_.version != kVocabImageVersion || header_.header_bytes != sizeof(Header)) {
      return fail(Code::kUnsupported,
                  fmt::format("the vocabulary's image has version {}, this build reads {}",
                              header_.version, kVocabImageVersion));
    }
    if (header_.image_bytes == image_.size()) return {};
    return corrupt(fmt::format("has {} bytes, {} expected", image_.size(), header_.image_bytes));
  }

  Result<> check_sum() const {
    if (sum_of(header_, image_) == header_.sum) return {};
    return corrupt("does not match its checksum");
  }

  template <class T>
  Result<std::span<const T>> section(Section index) const {
    const Place& place = header_.places[index];
    if (place.offset % kAlignment != 0 || place.bytes % sizeof(T) != 0 ||
        place.offset > image_.size() || place.bytes > image_.size() - place.offset) {
      return corrupt(fmt::format("has no room for section {}", static_cast<int>(index)));
    }
    return std::span(reinterpret_cast<const T*>(image_.data() + place.offset),
                     place.bytes / sizeof(T));
  }

  // An array with an element for each token; or none where it may be left out.
  template <class T>
  Result<std::span<const T>> per_token(Section index, bool is_optional) const {
    HEARTH_TRY(const auto values, section<T>(index));
    if (values.size() == n_tokens_ || (is_optional && values.empty())) return values;
    return corrupt(fmt::format("has {} tokens and {} elements in section {}", n_tokens_,
                               values.size(), static_cast<int>(index)));
  }

  Result<> read_texts(VocabTables& tables) {
    HEARTH_TRY(const auto starts, section<std::uint32_t>(kTextStarts));
    HEARTH_TRY(const auto bytes, section<char>(kTextBytes));
    if (starts.size() < 2 || starts.front() != 0 || starts.back() != bytes.size() ||
        !std::ranges::is_sorted(starts)) {
      return corrupt("has texts that do not follow one another");
    }
    n_tokens_ = starts.size() - 1;
    tables.texts = TokenTexts(starts, {bytes.data(), bytes.size()});
    return {};
  }

  Result<> read_tables(VocabTables& tables) const {
    HEARTH_TRY(const auto index, section<TokenIndex::Slot>(kIndex));
    if (!std::has_single_bit(index.size())) return corrupt("has an index of a wrong size");
    tables.index = TokenIndex(tables.texts, index);

    HEARTH_TRY(const auto merges, section<MergeSlot>(kMerges));
    if (!merges.empty()) {
      const bool has_free = std::ranges::any_of(merges, [](auto& slot) { return slot.left < 0; });
      if (!std::has_single_bit(merges.size()) || !has_free) {
        return corrupt("has merges of a wrong size");
      }
      tables.merges = MergeTable(merges);
    }
    HEARTH_TRY(const auto user_defined, section<std::int32_t>(kUserDefined));
    HEARTH_TRY(const auto all_special, section<std::int32_t>(kAllSpecial));
    HEARTH_TRY_VOID(check_special(tables.texts, user_defined));
    HEARTH_TRY_VOID(check_special(tables.texts, all_special));
    tables.user_defined = SpecialTokens(tables.texts, user_defined);
    tables.all_special = SpecialTokens(tables.texts, all_special);
    return {};
  }

  Result<> check_special(const TokenTexts& texts, std::span<const std::int32_t> ids) const {
    for (const std::int32_t id : ids) {
      if (is_id(id) && !texts[static_cast<std::size_t>(id)].empty()) continue;
      return corrupt(fmt::format("has the special token {} of {} tokens", id, n_tokens_));
    }
    return {};
  }

  Result<> check_ids(const VocabFacts& facts) const {
    for (const std::int32_t id : {facts.bos, facts.eos, facts.unk}) {
      if (id != kNoToken && !is_id(id)) return corrupt("names a token that it does not have");
    }
    for (const std::int32_t id : facts.byte_ids) {
      if (id != kNoToken && !is_id(id)) return corrupt("names a byte that it does not have");
    }
    return {};
  }

  bool is_id(std::int32_t id) const {
    return id >= 0 && static_cast<std::size_t>(id) < n_tokens_;
  }

  std::span<const std::byte> image_;
  Header header_;
  std::size_t n_tokens_ = 0;
};

}  // namespace

std::vector<std::byte> write_vocab_image(const VocabDraft& draft) {
  Header header;
  // Padding between fields is part of the sum, so it must be the same in memory and in the image.
  std::memset(static_cast<void*>(&header), 0, sizeof header);
  header.magic = kMagic;
  header.version = kVocabImageVersion;
  header.header_bytes = sizeof header;
  header.facts = draft.facts;
  const auto sections = sections_of(draft);
  std::size_t end = aligned(sizeof header);
  for (std::size_t i = 0; i < kSections; ++i) {
    header.places[i] = {end, sections[i].size()};
    end = aligned(end + sections[i].size());
  }
  header.image_bytes = end;

  std::vector<std::byte> image(end);
  for (std::size_t i = 0; i < kSections; ++i) {
    std::ranges::copy(sections[i],
                      image.begin() + static_cast<std::ptrdiff_t>(header.places[i].offset));
  }
  header.sum = sum_of(header, image);
  std::memcpy(image.data(), &header, sizeof header);
  return image;
}

Result<VocabTables> read_vocab_image(std::span<const std::byte> image) {
  return Reader(image).run();
}

}  // namespace hearth::text
