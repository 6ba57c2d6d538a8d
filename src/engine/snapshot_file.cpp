#include "engine/snapshot_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace hearth::engine {
namespace {

constexpr std::uint32_t kPageTokens = model::kPageTokens;
constexpr char kMagic[8] = {'H', 'E', 'A', 'R', 'T', 'H', 'K', 'V'};

struct SnapshotFileHead {
  char magic[8];
  std::uint32_t version;
  std::uint32_t head_bytes;
  std::uint64_t sum;  // Of the head's bytes with this one as 0.
  std::uint64_t build;
  std::uint8_t key[32];
  std::uint8_t parent[32];
  std::uint64_t page_bytes;
  std::uint64_t logits_sum;
  std::uint64_t token_us;
  std::uint32_t first_page;
  std::uint32_t n_pages;
  std::uint32_t n_tokens;
  std::uint32_t n_logits;
  std::uint32_t label_bytes;
  std::uint32_t unused;
};
static_assert(std::is_trivially_copyable_v<SnapshotFileHead> && sizeof(SnapshotFileHead) == 144);

std::size_t head_bytes_for(std::size_t n_pages, std::size_t n_tokens, std::size_t label_bytes) {
  const std::size_t n = sizeof(SnapshotFileHead) + n_tokens * 4 + n_pages * 16 + label_bytes;
  return (n + kSnapshotAlign - 1) / kSnapshotAlign * kSnapshotAlign;
}

std::uint64_t sum_of_head(SnapshotFileHead fixed, std::span<const std::byte> rest) {
  fixed.sum = 0;
  return hash64(rest, hash64(std::as_bytes(std::span(&fixed, 1))));
}

Error corrupt(std::string what) { return {Code::kCorrupt, "a snapshot " + std::move(what)}; }

template <class T>
void append(std::string& out, std::span<const T> values) {
  out.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
}

// Takes `n` values off the front of `bytes`, which holds them.
template <class T>
std::vector<T> take(std::span<const std::byte>& bytes, std::size_t n) {
  std::vector<T> values(n);
  if (n > 0) std::memcpy(values.data(), bytes.data(), n * sizeof(T));
  bytes = bytes.subspan(n * sizeof(T));
  return values;
}

Result<SnapshotFileHead> read_fixed(std::span<const std::byte> bytes) {
  SnapshotFileHead head;
  if (bytes.size() < sizeof head) return std::unexpected(corrupt("of less than a head"));
  std::memcpy(&head, bytes.data(), sizeof head);
  if (std::memcmp(head.magic, kMagic, sizeof kMagic) != 0) {
    return std::unexpected(corrupt("without its mark"));
  }
  if (head.version != kSnapshotVersion) {
    return fail(Code::kUnsupported, fmt::format("a snapshot of version {}, this program reads {}",
                                                head.version, kSnapshotVersion));
  }
  if (head.head_bytes < kSnapshotAlign || head.head_bytes > kSnapshotHeadBytesMax ||
      head.head_bytes % kSnapshotAlign != 0) {
    return std::unexpected(corrupt(fmt::format("with a head of {} bytes", head.head_bytes)));
  }
  return head;
}

// Whether the counts are within their limits and agree with one another.
Result<> check_counts(const SnapshotFileHead& head) {
  const bool has_pages = head.n_pages > 0 && head.n_pages <= kSnapshotPagesMax &&
                         head.n_tokens > (head.n_pages - 1) * kPageTokens &&
                         head.n_tokens <= head.n_pages * kPageTokens;
  if (!has_pages) {
    return std::unexpected(
        corrupt(fmt::format("with {} tokens in {} pages", head.n_tokens, head.n_pages)));
  }
  if (head.page_bytes == 0 || head.page_bytes > kSnapshotPageBytesMax) {
    return std::unexpected(corrupt(fmt::format("with pages of {} bytes", head.page_bytes)));
  }
  if (head.n_logits > kSnapshotLogitsMax || head.label_bytes > kSnapshotLabelBytesMax) {
    return std::unexpected(corrupt("with more logits or a longer label than there can be"));
  }
  if (head.first_page > UINT32_MAX / kPageTokens - kSnapshotPagesMax) {
    return std::unexpected(corrupt("that begins further on than any text is long"));
  }
  if (head.head_bytes != head_bytes_for(head.n_pages, head.n_tokens, head.label_bytes)) {
    return std::unexpected(corrupt("whose head has not the size that its parts need"));
  }
  if (head.first_page == 0 && std::memcmp(head.parent, head.key, sizeof head.key) != 0) {
    return std::unexpected(corrupt("that begins a text and has one before it"));
  }
  return {};
}

}  // namespace

std::size_t SnapshotHead::head_bytes() const {
  return head_bytes_for(page_sums.size(), tokens.size(), label.size());
}

Sha256 snapshot_key(std::uint64_t build, std::uint64_t model_identity,
                    const model::KvLayout& layout) {
  const std::uint64_t facts[] = {kSnapshotVersion,     build,
                                 model_identity,       model::kPageTokens,
                                 layout.n_layers,      layout.n_kv_heads,
                                 layout.head_dim,      static_cast<std::uint64_t>(layout.type),
                                 layout.n_memories,    layout.memory_width,
                                 layout.page_bytes()};
  Sha256Stream digest;
  digest.update(std::as_bytes(std::span(facts)));
  return digest.finish();
}

Sha256 page_digest(const Sha256& before, std::uint64_t adapters, std::span<const TokenId> tokens) {
  Sha256Stream digest;
  digest.update(std::as_bytes(std::span(before)));
  digest.update(std::as_bytes(std::span(&adapters, 1)));
  digest.update(std::as_bytes(tokens));
  return digest.finish();
}

std::string encode_snapshot_head(const SnapshotHead& head) {
  SnapshotFileHead fixed{};
  std::memcpy(fixed.magic, kMagic, sizeof kMagic);
  fixed.version = kSnapshotVersion;
  fixed.head_bytes = static_cast<std::uint32_t>(head.head_bytes());
  fixed.build = head.build;
  std::ranges::copy(head.key, fixed.key);
  std::ranges::copy(head.parent, fixed.parent);
  fixed.page_bytes = head.page_bytes;
  fixed.logits_sum = head.logits_sum;
  fixed.token_us = head.token_us;
  fixed.first_page = head.first_page;
  fixed.n_pages = head.n_pages();
  fixed.n_tokens = head.n_tokens();
  fixed.n_logits = head.n_logits;
  fixed.label_bytes = static_cast<std::uint32_t>(head.label.size());

  std::string bytes;
  bytes.reserve(head.head_bytes());
  append(bytes, std::span<const SnapshotFileHead>(&fixed, 1));
  append(bytes, std::span(head.tokens));
  append(bytes, std::span(head.adapters));
  append(bytes, std::span(head.page_sums));
  bytes += head.label;
  bytes.resize(head.head_bytes(), '\0');
  fixed.sum = sum_of_head(fixed, std::as_bytes(std::span(bytes)).subspan(sizeof fixed));
  std::memcpy(bytes.data(), &fixed, sizeof fixed);
  return bytes;
}

Result<std::size_t> snapshot_head_bytes(std::span<const std::byte> first) {
  HEARTH_TRY(const SnapshotFileHead head, read_fixed(first));
  return head.head_bytes;
}

Result<SnapshotHead> decode_snapshot_head(std::span<const std::byte> bytes,
                                          std::uint64_t file_bytes) {
  HEARTH_TRY(const SnapshotFileHead fixed, read_fixed(bytes));
  if (bytes.size() < fixed.head_bytes) return std::unexpected(corrupt("whose head is cut off"));
  std::span<const std::byte> rest = bytes.first(fixed.head_bytes).subspan(sizeof fixed);
  if (fixed.sum != sum_of_head(fixed, rest)) {
    return std::unexpected(corrupt("whose head has not its sum"));
  }
  HEARTH_TRY_VOID(check_counts(fixed));

  SnapshotHead head;
  head.build = fixed.build;
  std::ranges::copy(fixed.key, head.key.begin());
  std::ranges::copy(fixed.parent, head.parent.begin());
  head.first_page = fixed.first_page;
  head.page_bytes = fixed.page_bytes;
  head.tokens = take<TokenId>(rest, fixed.n_tokens);
  head.adapters = take<std::uint64_t>(rest, fixed.n_pages);
  head.page_sums = take<std::uint64_t>(rest, fixed.n_pages);
  head.n_logits = fixed.n_logits;
  head.logits_sum = fixed.logits_sum;
  head.token_us = fixed.token_us;
  head.label.assign(reinterpret_cast<const char*>(rest.data()), fixed.label_bytes);
  if (file_bytes != head.file_bytes()) {
    return std::unexpected(corrupt(
        fmt::format("of {} bytes, its head says {}", file_bytes, head.file_bytes())));
  }
  return head;
}

}  // namespace hearth::engine
