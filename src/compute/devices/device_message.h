// What a hub and the process that has a device's driver say to one another, over a socket of
// packets.
//
// Both ends are this program, of the same build: fixed structs, sent as they are.  The process says
// first whether it has opened the device.  Then each ask is a call of a built-in: its tensors lie
// in memory whose descriptors come along, and are mapped there, not copied.  One ask at a time; a
// packet of one byte during a run says that nobody wants it any more.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "compute/signature.h"
#include "sandbox/owned_fd.h"

namespace hearth::compute {

struct DeviceTensor {
  ElementType type;
  std::uint32_t rank;
  std::uint32_t memory;  // Which of the packet's descriptors.
  std::uint32_t reserved;
  std::uint64_t offset;  // Of its first element, in bytes.
  std::int64_t shape[kRankMax];
  std::int64_t strides[kRankMax];
};

struct DeviceAsk {
  char builtin[64];
  std::uint32_t n_tensors, n_integers, n_symbols, n_reals;
  std::int64_t integers[kIntegersMax];
  double reals[kRealsMax];
  DeviceTensor tensors[kTensorsMax];
};

struct DeviceAnswer {
  std::uint32_t status;    // 0, or 1 + Code; then `text` is the sentence.
  std::uint32_t n_copies;  // Of a run.
  std::uint32_t is_host;   // Of the first answer, whose text is the device's name.
  std::uint32_t reserved;
  char text[2048];  // Ends with a zero.
};

DeviceAnswer answer_of(const Error& error);
// What it says; a status that there is not is kInternal.
std::optional<Error> error_of(const DeviceAnswer& answer);

// kUnavailable: the other end is gone.
Result<> send_packet(int socket, std::string_view bytes, const std::vector<int>& descriptors = {});
// A packet of at most `bytes_max`, waited for; empty once the other end is gone.
struct Packet {
  std::string bytes;
  std::vector<sandbox::OwnedFd> descriptors;
};
Packet receive_packet(int socket, std::size_t bytes_max);

template <class Struct>
std::string_view bytes_of(const Struct& fixed) {
  return {reinterpret_cast<const char*>(&fixed), sizeof fixed};
}

}  // namespace hearth::compute
