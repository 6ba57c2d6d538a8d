// DLPack's structs of versions 1.x, as their specification fixes them (dmlc.github.io/dlpack): what
// numpy, torch, cupy and jax hand one another.
#pragma once

#include <cstdint>

struct DLPackVersion {
  std::uint32_t major, minor;
};
struct DLDevice {
  std::int32_t device_type;
  std::int32_t device_id;
};
struct DLDataType {
  std::uint8_t code, bits;
  std::uint16_t lanes;
};
struct DLTensor {
  void* data;
  DLDevice device;
  std::int32_t ndim;
  DLDataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;  // In elements; null: row-major and dense.
  std::uint64_t byte_offset;
};
struct DLManagedTensorVersioned {
  DLPackVersion version;
  void* manager_ctx;
  void (*deleter)(DLManagedTensorVersioned* self);
  std::uint64_t flags;
  DLTensor dl_tensor;
};

namespace hearth::client {

inline constexpr std::uint32_t kDlpackMajor = 1;
inline constexpr std::int32_t kDlpackCpu = 1;
inline constexpr std::int32_t kDlpackPinned = 3;  // Memory of the host that a GPU may read.
enum : std::uint8_t { kDlpackInt = 0, kDlpackUint = 1, kDlpackFloat = 2 };
inline constexpr std::uint64_t kDlpackReadOnly = 1;

}  // namespace hearth::client
