// Fuzzes the event-stream parser: however a stream is cut into pieces, the same events
// come out, and none exceeds its limit.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/sse.h"

namespace {

constexpr std::size_t kEventBytesMax = 1000;

std::string events_of(std::string_view stream, std::size_t piece_bytes) {
  std::string all;
  hearth::net::SseParser parser(
      [&](const hearth::net::SseEvent& event) {
        HEARTH_CHECK(event.data.size() <= kEventBytesMax);
        all.append(event.event).append("|").append(event.data).append("|");
        all.append(event.comment).append("\n");
      },
      kEventBytesMax);
  while (!stream.empty()) {
    if (!parser.feed(stream.substr(0, piece_bytes))) return all;
    stream.remove_prefix(stream.size() < piece_bytes ? stream.size() : piece_bytes);
  }
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view stream(reinterpret_cast<const char*>(data), size);
  HEARTH_CHECK(events_of(stream, 1) == events_of(stream, size < 7 ? 7 : size));
  HEARTH_CHECK(events_of(stream, 3) == events_of(stream, 1));
  return 0;
}
