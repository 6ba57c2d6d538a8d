// Fuzzes the readers of all wires' answers: the first byte chooses the wire, the rest is what it sends.
// However the bytes are cut, the same comes out, within its limits and as valid UTF-8.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "advisor/wire/answer_reader.h"
#include "base/result.h"
#include "base/utf8.h"

namespace {

using hearth::advisor::AnswerPiece;
using hearth::advisor::AnswerReader;
using hearth::advisor::WireFormat;

constexpr hearth::advisor::AnswerLimits kLimits{.text_bytes_max = 200, .calls_max = 4};

std::string read(const WireFormat& wire, std::string_view bytes, std::size_t piece_bytes) {
  std::string all;
  std::uint64_t n_bytes = 0;
  AnswerReader reader(wire, kLimits, [&](const AnswerPiece& piece) {
    HEARTH_CHECK(hearth::is_valid_utf8(piece.text) && hearth::is_valid_utf8(piece.reasoning));
    all += "|" + piece.text + "|" + piece.reasoning;
    n_bytes += piece.text.size() + piece.reasoning.size();
    for (const auto& call : piece.calls) {
      HEARTH_CHECK(call.index < kLimits.calls_max);
      HEARTH_CHECK(hearth::is_valid_utf8(call.id + call.name + call.arguments));
      all += "|" + call.id + "|" + call.name + "|" + call.arguments;
      n_bytes += call.name.size() + call.arguments.size();
    }
  });
  while (!bytes.empty() && reader.feed(bytes.substr(0, piece_bytes))) {
    bytes.remove_prefix(bytes.size() < piece_bytes ? bytes.size() : piece_bytes);
  }
  reader.finish();
  HEARTH_CHECK(n_bytes == reader.content_bytes() && n_bytes <= kLimits.text_bytes_max);
  HEARTH_CHECK(reader.use().prompt_tokens >= -1 && reader.use().completion_tokens >= -1);
  for (std::uint32_t call = 0; call < kLimits.calls_max; ++call) all += reader.carried(call);
  return all + reader.finish_reason() + reader.error().message;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto wires = hearth::advisor::wires();
  const WireFormat& wire = wires[data[0] % wires.size()];
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string whole = read(wire, bytes, size + 1);
  HEARTH_CHECK(read(wire, bytes, 1) == whole);
  HEARTH_CHECK(read(wire, bytes, 5) == whole);
  return 0;
}
