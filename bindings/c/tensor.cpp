#include "tensor.h"

#include <algorithm>

namespace hearth::client {
namespace {

using compute::bridge::element_bytes;
using compute::bridge::kRankMax;
using compute::bridge::reach_bytes;

void put_row_major(WireValue& wire) {
  std::int64_t stride = 1;
  for (std::uint32_t i = wire.rank; i > 0; --i) {
    wire.strides[i - 1] = stride;
    stride *= std::max<std::int64_t>(wire.shape[i - 1], 1);
  }
}

// Type, shape and strides, held against their limits; no strides: row-major.
Outcome<WireValue> wire_of(std::uint32_t type, std::uint32_t rank, const std::int64_t* shape, const std::int64_t* strides) {
  if (rank > kRankMax) {
    return failed(HEARTH_INVALID, "a tensor of " + std::to_string(rank) + " dimensions: at most " + std::to_string(kRankMax) + " are possible");
  }
  if (rank > 0 && shape == nullptr) return failed(HEARTH_INVALID, "the shape is a null pointer");
  WireValue wire;
  wire.type = type;
  wire.rank = rank;
  std::uint64_t n_bytes = element_bytes(type);
  for (std::uint32_t i = 0; i < rank; ++i) {
    wire.shape[i] = shape[i];
    if (shape[i] > 1 && __builtin_mul_overflow(n_bytes, static_cast<std::uint64_t>(shape[i]), &n_bytes)) {
      return failed(HEARTH_INVALID, "a tensor reaches further than memory can");
    }
  }
  put_row_major(wire);
  if (strides != nullptr) std::copy_n(strides, rank, wire.strides.begin());
  HEARTH_TRY_VOID(outcome_of(reach_bytes(wire)));
  return wire;
}

Outcome<WireValue> wire_of(const hearth_layout& layout) { return wire_of(layout.type, layout.rank, layout.shape, layout.strides); }

// DLPack's description, without its memory.
Outcome<WireValue> wire_of(const DLTensor& tensor) {
  if (tensor.device.device_type != kDlpackCpu && tensor.device.device_type != kDlpackPinned) {
    return failed(HEARTH_UNSUPPORTED, "the tensor lies on a device of DLPack's type " + std::to_string(tensor.device.device_type) +
                                          ": copy it to the CPU first");
  }
  struct Row {
    std::uint8_t code, bits;
    hearth_type type;
  };
  static constexpr Row kTypes[] = {
      {kDlpackFloat, 32, HEARTH_F32}, {kDlpackFloat, 64, HEARTH_F64}, {kDlpackInt, 8, HEARTH_I8},    {kDlpackInt, 16, HEARTH_I16},
      {kDlpackInt, 32, HEARTH_I32},   {kDlpackInt, 64, HEARTH_I64},   {kDlpackUint, 8, HEARTH_U8},   {kDlpackUint, 16, HEARTH_U16},
      {kDlpackUint, 32, HEARTH_U32},  {kDlpackUint, 64, HEARTH_U64},
  };
  const auto row = std::find_if(std::begin(kTypes), std::end(kTypes), [&](const Row& candidate) {
    return candidate.code == tensor.dtype.code && candidate.bits == tensor.dtype.bits;
  });
  if (row == std::end(kTypes) || tensor.dtype.lanes != 1) {
    return failed(HEARTH_UNSUPPORTED, "elements of DLPack's type (" + std::to_string(tensor.dtype.code) + ", " +
                                          std::to_string(tensor.dtype.bits) + " bits, " + std::to_string(tensor.dtype.lanes) +
                                          " lanes) are not supported");
  }
  if (tensor.ndim < 0) return failed(HEARTH_INVALID, "a tensor has a negative number of dimensions");
  return wire_of(row->type, static_cast<std::uint32_t>(tensor.ndim), tensor.shape, tensor.strides);
}

std::unique_ptr<hearth_tensor> tensor_over(const std::shared_ptr<Link>& link, std::shared_ptr<Region> region, const WireValue& wire,
                                           const void* data) {
  auto tensor = std::make_unique<hearth_tensor>();
  tensor->link = link;
  tensor->wire = wire;
  tensor->wire.kind = compute::bridge::ValueKind::kTensor;
  tensor->wire.block = region->block;
  tensor->wire.offset = static_cast<std::uint64_t>(static_cast<const std::byte*>(data) - region->data);
  tensor->region = std::move(region);
  return tensor;
}

// In place if it lies in the pool, else a dense copy; `is_copied` says which.
Outcome<std::unique_ptr<hearth_tensor>> wrap(const std::shared_ptr<Link>& link, const WireValue& wire, const void* data, int* copied) {
  HEARTH_TRY(const std::uint64_t reach, outcome_of(reach_bytes(wire)));
  if (data == nullptr && reach > 0) return failed(HEARTH_INVALID, "the tensor's data is a null pointer");
  if (copied != nullptr) *copied = 0;
  if (auto region = link->find_memory(data, reach)) return tensor_over(link, std::move(region), wire, data);

  HEARTH_TRY(auto tensor, make_tensor(link, wire.type, wire.rank, wire.shape.data(), nullptr));
  std::byte* to = tensor->data();
  for_each_span(static_cast<const std::byte*>(data), wire, [&](const std::byte* from, std::uint64_t n_bytes) {
    to = std::copy_n(from, n_bytes, to);
  });
  tensor->n_copies = 1;
  if (copied != nullptr) *copied = 1;
  return tensor;
}

// What a DLPack view of a tensor keeps.
struct View {
  DLManagedTensorVersioned managed{};
  std::shared_ptr<Region> region;
  WireValue wire;
};

std::uint8_t dlpack_code(std::uint32_t type) {
  if (type == HEARTH_F32 || type == HEARTH_F64) return kDlpackFloat;
  return type >= HEARTH_U8 ? kDlpackUint : kDlpackInt;
}

}  // namespace

Outcome<std::unique_ptr<hearth_tensor>> make_tensor(const std::shared_ptr<Link>& link, std::uint32_t type, std::uint32_t rank,
                                                    const std::int64_t* shape, const std::int64_t* strides) {
  HEARTH_TRY(const WireValue wire, wire_of(type, rank, shape, strides));
  HEARTH_TRY(const std::uint64_t reach, outcome_of(reach_bytes(wire)));
  HEARTH_TRY(auto region, link->take_memory(reach));
  const void* data = region->data;
  return tensor_over(link, std::move(region), wire, data);
}

}  // namespace hearth::client

using namespace hearth::client;

hearth_tensor::~hearth_tensor() {
  if (borrowed != nullptr && borrowed->deleter != nullptr) borrowed->deleter(borrowed);
}

hearth_status hearth_alloc(hearth_context* context, uint32_t type, uint32_t rank, const int64_t* shape, hearth_tensor** tensor) {
  return hearth_alloc_strided(context, type, rank, shape, nullptr, tensor);
}

hearth_status hearth_alloc_strided(hearth_context* context, uint32_t type, uint32_t rank, const int64_t* shape, const int64_t* strides,
                                   hearth_tensor** tensor) {
  return guarded([&]() -> Outcome<> {
    if (context == nullptr || tensor == nullptr) return failed(HEARTH_INVALID, "hearth_alloc was given a null pointer");
    HEARTH_TRY(auto made, make_tensor(context->link, type, rank, shape, strides));
    *tensor = made.release();
    return {};
  });
}

hearth_status hearth_wrap(hearth_context* context, const hearth_layout* layout, hearth_tensor** tensor, int* copied) {
  return guarded([&]() -> Outcome<> {
    if (context == nullptr || layout == nullptr || tensor == nullptr) return failed(HEARTH_INVALID, "hearth_wrap was given a null pointer");
    const hearth_layout given = read_struct(layout);
    HEARTH_TRY(const WireValue wire, wire_of(given));
    HEARTH_TRY(auto made, wrap(context->link, wire, given.data, copied));
    made->is_read_only = given.is_read_only != 0 && made->n_copies == 0;
    *tensor = made.release();
    return {};
  });
}

hearth_status hearth_wrap_dlpack(hearth_context* context, DLManagedTensorVersioned* managed, hearth_tensor** tensor, int* copied) {
  return guarded([&]() -> Outcome<> {
    if (context == nullptr || managed == nullptr || tensor == nullptr) return failed(HEARTH_INVALID, "hearth_wrap_dlpack was given a null pointer");
    if (managed->version.major != kDlpackMajor) {
      return failed(HEARTH_UNSUPPORTED, "the tensor speaks version " + std::to_string(managed->version.major) + " of DLPack, this library " +
                                            std::to_string(kDlpackMajor));
    }
    const DLTensor& given = managed->dl_tensor;
    HEARTH_TRY(const WireValue wire, wire_of(given));
    HEARTH_TRY(auto made, wrap(context->link, wire, static_cast<const std::byte*>(given.data) + given.byte_offset, copied));
    if (made->n_copies == 0) {
      made->borrowed = managed;
      made->is_read_only = (managed->flags & kDlpackReadOnly) != 0;
    } else if (managed->deleter != nullptr) {
      managed->deleter(managed);
    }
    *tensor = made.release();
    return {};
  });
}

hearth_status hearth_view_dlpack(hearth_tensor* tensor, DLManagedTensorVersioned** managed) {
  return guarded([&]() -> Outcome<> {
    if (tensor == nullptr || managed == nullptr) return failed(HEARTH_INVALID, "hearth_view_dlpack was given a null pointer");
    auto view = std::make_unique<View>();
    view->region = tensor->region;
    view->wire = tensor->wire;
    view->managed.version = {kDlpackMajor, 0};
    view->managed.manager_ctx = view.get();
    view->managed.deleter = [](DLManagedTensorVersioned* self) { delete static_cast<View*>(self->manager_ctx); };
    view->managed.flags = tensor->is_read_only ? kDlpackReadOnly : 0;
    DLTensor& made = view->managed.dl_tensor;
    made.data = tensor->data();
    made.device = {kDlpackCpu, 0};
    made.ndim = static_cast<std::int32_t>(tensor->wire.rank);
    made.dtype = {dlpack_code(tensor->wire.type), static_cast<std::uint8_t>(8 * hearth::compute::bridge::element_bytes(tensor->wire.type)), 1};
    made.shape = view->wire.shape.data();
    made.strides = view->wire.strides.data();
    *managed = &view.release()->managed;
    return {};
  });
}

hearth_status hearth_slice(hearth_tensor* tensor, const hearth_layout* layout, hearth_tensor** slice) {
  return guarded([&]() -> Outcome<> {
    if (tensor == nullptr || layout == nullptr || slice == nullptr) return failed(HEARTH_INVALID, "hearth_slice was given a null pointer");
    const hearth_layout given = read_struct(layout);
    HEARTH_TRY(const WireValue wire, wire_of(given));
    HEARTH_TRY(const std::uint64_t reach, outcome_of(hearth::compute::bridge::reach_bytes(wire)));
    const Region& region = *tensor->region;
    const auto* data = static_cast<const std::byte*>(given.data);
    if (data < region.data || data > region.data + region.n_bytes || reach > static_cast<std::uint64_t>(region.data + region.n_bytes - data)) {
      return failed(HEARTH_INVALID, "the slice reaches out of its tensor's memory");
    }
    auto made = tensor_over(tensor->link, tensor->region, wire, data);
    made->is_read_only = tensor->is_read_only;
    *slice = made.release();
    return {};
  });
}

hearth_status hearth_describe(const hearth_tensor* tensor, hearth_layout* layout) {
  return guarded([&]() -> Outcome<> {
    if (tensor == nullptr || layout == nullptr) return failed(HEARTH_INVALID, "hearth_describe was given a null pointer");
    hearth_layout made{};
    made.type = tensor->wire.type;
    made.rank = tensor->wire.rank;
    made.is_read_only = tensor->is_read_only ? 1 : 0;
    std::copy(tensor->wire.shape.begin(), tensor->wire.shape.end(), made.shape);
    std::copy(tensor->wire.strides.begin(), tensor->wire.strides.end(), made.strides);
    made.data = tensor->data();
    made.descriptor = tensor->region->memory.get();
    made.descriptor_offset = tensor->wire.offset;
    write_struct(made, layout);
    return {};
  });
}

void* hearth_data(const hearth_tensor* tensor) { return tensor == nullptr ? nullptr : tensor->data(); }
void hearth_free(hearth_tensor* tensor) { delete tensor; }
