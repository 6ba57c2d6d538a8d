#include "gguf/restored_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/mapped_pages.h"
#include "base/thread_pool.h"
#include "gguf/pack_format.h"

namespace hearth::gguf {
namespace {

constexpr std::uint64_t kPieceBytes = std::uint64_t{4} << 20;

std::unexpected<Error> bad(std::string_view tensor) {
  return fail(Code::kCorrupt,
              fmt::format("tensor '{}' can't be restored from its base: run `hearth models verify`, "
                          "and import what it lists again",
                          tensor));
}

}  // namespace

Result<std::unique_ptr<RestoredTensors>> RestoredTensors::reserve(
    std::vector<Tensor> tensors, std::map<Sha256, std::span<const std::byte>> bases) {
  std::unique_ptr<RestoredTensors> made(new RestoredTensors());
  std::uint64_t size = 0;
  for (const Tensor& tensor : tensors) {
    made->places_.push_back(size);
    size = (size + tensor.form.bytes + kObjectAlignment - 1) / kObjectAlignment * kObjectAlignment;
  }
  made->tensors_ = std::move(tensors);
  made->bases_ = std::move(bases);
  made->memory_ = LargeMemory(size, Reserve::kTouched);
  if (!made->memory_ && size > 0) {
    return fail(Code::kOutOfBudget,
                fmt::format("no memory for {} MiB of weights that are kept as differences: free "
                            "some, or import the model whole",
                            size >> 20));
  }
  made->size_ = size;
  return made;
}

int RestoredTensors::restore(const Tensor& tensor, std::uint64_t begin, std::uint64_t end,
                             std::byte* out) const {
  const auto view = DeltaView::open(tensor.delta, tensor.form);
  if (!view) return EBADMSG;
  const auto known = bases_.find(view->base());
  if (known == bases_.end() || known->second.size() != tensor.form.bytes) return EBADMSG;
  const std::span<const std::byte> base = known->second;

  // Both sides at once, instead of a page fault each.
  const std::uint64_t chunk = view->chunk_bytes();
  const std::uint64_t first = begin / chunk, last = (end - 1) / chunk;
  const std::uint64_t whole_end = view->chunk_begin(last) + view->chunk_size(last);
  if (const int error = bring_in(view->payload(first, last + 1))) return error;
  if (const int error = bring_in(base.subspan(first * chunk, whole_end - first * chunk))) return error;

  thread_local std::vector<std::byte> aside;
  for (std::uint64_t i = first; i <= last; ++i) {
    const std::uint64_t at = view->chunk_begin(i), size = view->chunk_size(i);
    const auto from = base.subspan(at, size);
    if (at >= begin && at + size <= end) {
      if (!view->restore(i, from, out + at)) return EBADMSG;
      continue;
    }
    // A neighbour has the rest of it.
    aside.resize(size);
    if (!view->restore(i, from, aside.data())) return EBADMSG;
    const std::uint64_t low = std::max(at, begin), high = std::min(at + size, end);
    std::memcpy(out + low, aside.data() + (low - at), high - low);
  }
  return 0;
}

int RestoredTensors::fill(std::span<const std::byte> range) const {
  const auto begin = static_cast<std::uint64_t>(range.data() - memory_.data());
  const std::uint64_t end = begin + range.size();
  const auto after = std::ranges::upper_bound(places_, begin);
  auto index = static_cast<std::size_t>(after - places_.begin());
  for (index -= index > 0 ? 1 : 0; index < tensors_.size() && places_[index] < end; ++index) {
    const std::uint64_t at = places_[index], size = tensors_[index].form.bytes;
    const std::uint64_t low = std::max(begin, at), high = std::min(end, at + size);
    if (low >= high) continue;
    if (const int error = restore(tensors_[index], low - at, high - at, memory_.data() + at)) return error;
  }
  return 0;
}

Result<> RestoredTensors::fill_all() const {
  prefer_large_pages(bytes());
  const std::uint64_t n = (size_ + kPieceBytes - 1) / kPieceBytes;
  std::atomic<std::uint64_t> failed_at = size_;
  ThreadPool pool(0);
  pool.run(static_cast<std::uint32_t>(n), [&](std::uint32_t i) {
    const std::uint64_t begin = i * kPieceBytes;
    if (fill(bytes().subspan(begin, std::min(kPieceBytes, size_ - begin))) != 0) failed_at = begin;
  });
  if (failed_at == size_) return {};
  const auto after = std::ranges::upper_bound(places_, failed_at.load());
  return bad(tensors_[static_cast<std::size_t>(after - places_.begin()) - 1].name);
}

Result<> RestoredTensors::check(const std::function<bool()>& goes_on) const {
  std::vector<std::byte> whole;
  for (const Tensor& tensor : tensors_) {
    HEARTH_TRY(const DeltaView view, DeltaView::open(tensor.delta, tensor.form));
    whole.resize(tensor.form.bytes);
    if (restore(tensor, 0, tensor.form.bytes, whole.data()) != 0) return bad(tensor.name);
    if (hash64(whole) != view.sum()) return bad(tensor.name);
    if (goes_on && !goes_on()) return fail(Code::kCancelled, "the check was stopped");
  }
  return {};
}

}  // namespace hearth::gguf
