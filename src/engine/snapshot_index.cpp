#include "engine/snapshot_index.h"

#include <algorithm>
#include <cstring>

namespace hearth::engine {
namespace {

constexpr std::uint32_t kPageTokens = model::kPageTokens;
constexpr double kTokenUsUnknown = 1000;  // What a token is taken to cost where nobody measured it.
constexpr double kNewS = 1;               // Files younger than this count as so old.

// Removes the entry of `file` and `page` under `digest`.
template <class Map>
void erase_ref(Map& map, const Sha256& digest, std::uint64_t file, std::uint32_t page) {
  auto [here, end] = map.equal_range(digest);
  while (here != end && (here->second.file != file || here->second.page != page)) ++here;
  if (here != end) map.erase(here);
}

std::uint32_t common_length(std::span<const TokenId> a, std::span<const TokenId> b) {
  const auto n = static_cast<std::ptrdiff_t>(std::min(a.size(), b.size()));
  return static_cast<std::uint32_t>(std::mismatch(a.begin(), a.begin() + n, b.begin()).first -
                                    a.begin());
}

}  // namespace

std::size_t SnapshotIndex::DigestHash::operator()(const Sha256& digest) const {
  std::size_t hash = 0;
  std::memcpy(&hash, digest.data(), sizeof hash);
  return hash;
}

std::uint64_t SnapshotIndex::add(File file) {
  if (by_name_.contains(file.name)) return 0;
  const std::uint64_t number = ++last_file_;
  Sha256 before = file.head.parent;
  for (std::uint32_t page = 0; page < file.head.n_pages(); ++page) {
    const auto tokens = file.head.page_tokens(page);
    by_parent_.emplace(before, PageRef{number, page});
    before = page_digest(before, file.head.adapters[page], tokens);
    file.digests.push_back(before);
    if (tokens.size() == kPageTokens) by_end_.emplace(before, PageRef{number, page});
  }
  by_name_.emplace(file.name, number);
  bytes_ += file.bytes;
  files_.emplace(number, std::move(file));
  return number;
}

void SnapshotIndex::forget(std::uint64_t number) {
  const auto found = files_.find(number);
  if (found == files_.end()) return;
  const File& file = found->second;
  for (std::uint32_t page = 0; page < file.head.n_pages(); ++page) {
    erase_ref(by_parent_, page == 0 ? file.head.parent : file.digests[page - 1], number, page);
    erase_ref(by_end_, file.digests[page], number, page);
  }
  bytes_ -= file.bytes;
  by_name_.erase(file.name);
  files_.erase(found);
}

const SnapshotIndex::File* SnapshotIndex::find(std::uint64_t file) const {
  const auto found = files_.find(file);
  return found == files_.end() ? nullptr : &found->second;
}

const SnapshotIndex::File* SnapshotIndex::find(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : find(found->second);
}

void SnapshotIndex::touch(std::uint64_t file, std::int64_t used_unix_s) {
  if (const auto found = files_.find(file); found != files_.end()) {
    found->second.used_unix_s = used_unix_s;
  }
}

StoredPage SnapshotIndex::stored(const PageRef& ref) const {
  const SnapshotHead& head = files_.at(ref.file).head;
  const auto tokens = head.page_tokens(ref.page);
  StoredPage page{.file = ref.file,
                  .page = ref.page,
                  .n_tokens = static_cast<std::uint32_t>(tokens.size()),
                  .adapters = head.adapters[ref.page]};
  std::ranges::copy(tokens, page.tokens.begin());
  return page;
}

SnapshotMatch SnapshotIndex::match(const SnapshotText& text, std::uint32_t n_tokens,
                                   std::uint32_t first_page) const {
  SnapshotMatch match;
  const auto tokens = std::span(text.tokens).first(n_tokens);
  Sha256 digest = text.key;
  for (std::uint32_t page = 0; page < first_page; ++page) {
    digest = page_digest(digest, text.adapters.key_before((page + 1) * kPageTokens),
                         tokens.subspan(std::size_t{page} * kPageTokens, kPageTokens));
  }
  for (std::uint32_t begin = first_page * kPageTokens; begin < n_tokens; begin += kPageTokens) {
    const auto next = tokens.subspan(begin, std::min(kPageTokens, n_tokens - begin));
    const bool is_last = begin + next.size() == n_tokens;
    PageRef best;
    std::uint32_t n_best = 0;
    for (auto [here, end] = by_parent_.equal_range(digest); here != end; ++here) {
      const PageRef ref = here->second;
      const SnapshotHead& head = files_.at(ref.file).head;
      const auto own = head.page_tokens(ref.page);
      const std::uint32_t n_like = common_length(own, next);
      if (n_like == 0 || head.page_bytes != text.page_bytes) continue;
      const std::uint32_t n_common =
          text.adapters.reach(head.adapters[ref.page], begin, begin + n_like) - begin;
      const bool has_logits = is_last && n_common == next.size() && n_common == own.size() &&
                              ref.page + 1 == head.n_pages() && head.n_logits == text.n_vocab &&
                              head.n_logits > 0;
      if (n_common > n_best || has_logits) {
        best = ref;
        n_best = n_common;
      }
      if (has_logits) match.logits_file = ref.file;
      if (has_logits) break;
    }
    if (n_best < kPageTokens) {
      if (n_best > 0) match.part = stored(best);
      match.n_part = n_best;
      break;
    }
    match.whole.push_back(stored(best));
    digest = files_.at(best.file).digests[best.page];
  }
  return match;
}

// Whether other files begin where a page of this one ends.
bool SnapshotIndex::leads_on(const File& file) const {
  for (std::uint32_t page = 0; page < file.head.n_pages(); ++page) {
    for (auto [here, end] = by_parent_.equal_range(file.digests[page]); here != end; ++here) {
      if (here->second.page > 0) continue;
      if (files_.at(here->second.file).head.first_page > file.head.first_page) return true;
    }
  }
  return false;
}

bool SnapshotIndex::is_reachable(const File& file) const {
  return file.head.first_page == 0 || by_end_.contains(file.head.parent);
}

std::uint64_t SnapshotIndex::least_valuable(std::int64_t now_unix_s, std::uint64_t build) const {
  std::uint64_t worst = 0;
  double most = -1;
  for (const auto& [number, file] : files_) {
    const double age_s = std::max(kNewS, static_cast<double>(now_unix_s - file.used_unix_s));
    const double token_us = file.head.token_us == 0 ? kTokenUsUnknown
                                                    : static_cast<double>(file.head.token_us);
    double cost = age_s * static_cast<double>(file.bytes) / (token_us * file.head.n_tokens());
    // Those that serve nobody come before all others.
    if (file.head.build != build || !is_reachable(file)) {
      cost *= 1e12;
    } else if (leads_on(file)) {
      continue;
    }
    if (cost <= most) continue;
    most = cost;
    worst = number;
  }
  return worst;
}

}  // namespace hearth::engine
