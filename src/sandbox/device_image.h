// A kernel for a device, compiled: what the library and its device program hand to one another.
//
// An image is a header, which the library writes, and behind it the driver's own binary (PoCL's, PTX,
// a cubin), which a compiler made of foreign text and nobody but the driver can read.
#pragma once

#include <cstdint>

#include "sandbox/protocol.h"
#include "sandbox/run_channel.h"

namespace hearth::sandbox {

inline constexpr char kDeviceImageMagic[8] = {'H', 'E', 'A', 'R', 'T', 'H', 'D', '1'};
inline constexpr std::uint32_t kDeviceNameBytes = 128;
inline constexpr std::uint32_t kDeviceArgumentsMax =
    kRunBuffersMax + kRunIntegersMax + kRunRealsMax;
inline constexpr std::uint32_t kDeviceKernelNameBytes = 64;
inline constexpr std::uint32_t kDeviceSourceBytesMax = 1U << 20;  // That a device program builds.

// How the device program's build ends: its exit status, since what it prints has foreign text in
// it.
enum class BuildEnd : int {
  kBuilt = 0,
  kRefused = 1,   // The compiler's messages are printed.
  kNoDevice = 3,  // The last line printed says why.
  kNoKernel = 4,  // The text compiles, and has no such kernel.
};

enum class DeviceKind : std::uint32_t { kOpenCl = 1, kCuda = 2 };

// Which device there is, as its worker says when it is ready (protocol.h), and which one a binary is
// for.  Texts end with a zero.
struct DeviceIdentity {
  char device[kDeviceNameBytes];  // "pthread-skylake-avx512-Intel(R) Xeon(R) Processor"
  char driver[kDeviceNameBytes];  // "Portable Computing Language 3.1+debian"
  char target[kDeviceNameBytes];  // What was compiled for: "sm_90", or the driver's word for it.
  std::uint32_t is_host;          // The device is this machine's processor: memory is not copied.
  std::uint32_t reserved;
};
static_assert(sizeof(DeviceIdentity) <= kSentenceBytes, "it travels where a sentence would");

enum class DeviceArgumentKind : std::uint8_t { kRead, kWritten, kI32, kI64, kF32, kF64 };

struct DeviceArgument {
  DeviceArgumentKind kind;
  std::uint8_t index;  // Of RunRequest's buffers, integers or reals.
};

struct DeviceImageHeader {
  char magic[8];
  DeviceKind kind;
  std::uint32_t n_dimensions;              // 1 to kRunDimensionsMax
  std::uint32_t group[kRunDimensionsMax];  // Work items of a group.
  std::uint32_t n_arguments;
  char name[kDeviceKernelNameBytes];  // Of the kernel's function, ended by a zero.
  DeviceIdentity made_for;
  DeviceArgument arguments[kDeviceArgumentsMax];
};

}  // namespace hearth::sandbox
