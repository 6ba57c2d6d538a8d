// Fuzzes the reader of other servers' answers: however the bytes are cut, the same pieces come out,
// within their limits, as valid UTF-8.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/utf8.h"
#include "hub/upstream/stream_reader.h"

namespace {

using hearth::hub::UpstreamPiece;

constexpr hearth::hub::StreamLimits kLimits{.n_choices = 2, .text_bytes_max = 300, .calls_max = 3};

std::string read(std::string_view bytes, std::size_t piece_bytes) {
  std::string all;
  std::size_t n_bytes = 0;
  hearth::hub::StreamReader reader(kLimits, [&](const UpstreamPiece& piece) {
    HEARTH_CHECK(piece.choice < kLimits.n_choices);
    HEARTH_CHECK(hearth::is_valid_utf8(piece.text) && hearth::is_valid_utf8(piece.reasoning));
    all += "|" + piece.text + "|" + piece.reasoning;
    n_bytes += piece.text.size() + piece.reasoning.size();
    for (const auto& call : piece.calls) {
      HEARTH_CHECK(call.index < kLimits.calls_max);
      HEARTH_CHECK(hearth::is_valid_utf8(call.name) && hearth::is_valid_utf8(call.arguments));
      all += "|" + call.name + "|" + call.arguments;
    }
    for (const auto& event : piece.tokens) HEARTH_CHECK(event.token.logprob <= 0);
  });
  while (!bytes.empty() && reader.feed(bytes.substr(0, piece_bytes))) {
    bytes.remove_prefix(bytes.size() < piece_bytes ? bytes.size() : piece_bytes);
  }
  reader.finish();
  HEARTH_CHECK(n_bytes <= kLimits.text_bytes_max);
  HEARTH_CHECK(reader.use().prompt_tokens >= -1 && reader.use().completion_tokens >= -1);
  (void)reader.is_complete();
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string whole = read(bytes, size + 1);
  HEARTH_CHECK(read(bytes, 1) == whole);
  HEARTH_CHECK(read(bytes, 7) == whole);
  return 0;
}
