// Fuzzes heads of snapshots: an error, or parts that agree with one another.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "engine/snapshot_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth;
  using namespace hearth::engine;
  std::vector<std::byte> bytes(size);
  if (size > 0) std::memcpy(bytes.data(), data, size);
  const auto head_bytes = snapshot_head_bytes(bytes);
  if (!head_bytes) return 0;
  // The sum guards everything else: mend it (kept at byte 16), or nothing behind it is ever met.
  constexpr std::size_t kFixedBytes = 144;
  if (bytes.size() >= *head_bytes) {
    std::uint64_t sum = 0;
    std::memcpy(bytes.data() + 16, &sum, sizeof sum);
    const std::span<const std::byte> head = std::span(bytes).first(*head_bytes);
    sum = hash64(head.subspan(kFixedBytes), hash64(head.first(kFixedBytes)));
    std::memcpy(bytes.data() + 16, &sum, sizeof sum);
  }
  std::uint64_t file_bytes = size;
  // A file as long as the head says, whatever was given: its size is the last thing that is checked.
  for (const bool is_second : {false, true}) {
    const auto head = decode_snapshot_head(bytes, file_bytes);
    if (head) {
      std::uint64_t used = head->label.size() + head->logits_offset();
      Sha256 digest = head->parent;
      for (std::uint32_t page = 0; page < head->n_pages(); ++page) {
        HEARTH_CHECK(!head->page_tokens(page).empty());
        digest = page_digest(digest, head->adapters[page], head->page_tokens(page));
        used += digest[0] + head->page_offset(page);
      }
      HEARTH_CHECK(encode_snapshot_head(*head).size() == head->head_bytes());
      volatile std::uint64_t sink = used;
      (void)sink;
    }
    if (is_second || bytes.size() < kFixedBytes) break;
    std::uint64_t page_bytes = 0;
    std::uint32_t n_pages = 0, n_logits = 0;
    std::memcpy(&page_bytes, bytes.data() + 96, sizeof page_bytes);
    std::memcpy(&n_pages, bytes.data() + 124, sizeof n_pages);
    std::memcpy(&n_logits, bytes.data() + 132, sizeof n_logits);
    file_bytes = *head_bytes + page_bytes * n_pages + std::uint64_t{n_logits} * 4;
  }
  return 0;
}
