// Tensors from inside: a shape over a region of the hub's pool.
#pragma once

#include <cstdint>
#include <memory>

#include "compute/bridge/protocol.h"
#include "dlpack_layout.h"
#include "failure.h"
#include "hearth/hearth.h"
#include "link.h"

struct hearth_context {
  std::shared_ptr<hearth::client::Link> link;
};

struct hearth_tensor {
  std::shared_ptr<hearth::client::Link> link;
  std::shared_ptr<hearth::client::Region> region;
  hearth::compute::bridge::WireValue wire;  // Type, shape, strides, and where in the region.
  bool is_read_only = false;
  std::uint32_t n_copies = 0;  // Made to have it, and not yet reported.
  DLManagedTensorVersioned* borrowed = nullptr;  // What it was wrapped from in place.

  hearth_tensor() = default;
  hearth_tensor(const hearth_tensor&) = delete;
  hearth_tensor& operator=(const hearth_tensor&) = delete;
  ~hearth_tensor();

  std::byte* data() const { return region->data + wire.offset; }
};

namespace hearth::client {

// A row-major tensor in memory of its own, or with the strides that are given.
Outcome<std::unique_ptr<hearth_tensor>> make_tensor(const std::shared_ptr<Link>& link, std::uint32_t type, std::uint32_t rank,
                                                    const std::int64_t* shape, const std::int64_t* strides);

// Calls span(first byte, bytes) for each stretch of a tensor's elements that lie next to one another, in the
// order of its indices.
template <class Span>
void for_each_span(const std::byte* data, const WireValue& layout, Span&& span) {
  const std::uint64_t element = compute::bridge::element_bytes(layout.type);
  std::uint32_t n_outer = layout.rank;  // Dimensions outside of the stretch.
  std::int64_t n_dense = 1;
  for (std::uint32_t i = 0; i < layout.rank; ++i) {
    if (layout.shape[i] == 0) return;
  }
  while (n_outer > 0 && (layout.shape[n_outer - 1] == 1 || layout.strides[n_outer - 1] == n_dense)) n_dense *= layout.shape[--n_outer];
  std::array<std::int64_t, compute::bridge::kRankMax> index{};
  for (;;) {
    std::int64_t at = 0;
    for (std::uint32_t i = 0; i < n_outer; ++i) at += index[i] * layout.strides[i];
    span(data + static_cast<std::uint64_t>(at) * element, static_cast<std::uint64_t>(n_dense) * element);
    std::uint32_t digit = n_outer;
    while (digit > 0 && ++index[digit - 1] == layout.shape[digit - 1]) index[--digit] = 0;
    if (digit == 0) return;
  }
}

}  // namespace hearth::client
