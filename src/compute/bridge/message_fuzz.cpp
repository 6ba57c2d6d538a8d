// What a client sends, from its header to the reach of its tensors: never a crash, and nothing accepted
// that is out of its limits.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "compute/bridge/protocol.h"

using namespace hearth::compute::bridge;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < sizeof(MessageHeader)) return 0;
  MessageHeader header;
  std::memcpy(static_cast<void*>(&header), data, sizeof header);
  if (!hearth::compute::bridge::check_header(header)) return 0;
  const std::string_view payload(reinterpret_cast<const char*>(data) + sizeof header, size - sizeof header);
  (void)parse_hello(payload);
  (void)parse_open_kernel(payload);
  (void)parse_build(payload);
  (void)parse_check(payload);
  (void)parse_question(payload);
  (void)parse_open_lane(payload);
  (void)parse_plain<AllocateAsk>(payload);
  if (const auto bind = parse_bind(payload)) {
    for (const WireValue& value : bind->values) {
      const auto reach = reach_bytes(value);
      if (reach && *reach > (std::uint64_t{1} << 47)) __builtin_trap();
    }
  }
  return 0;
}
