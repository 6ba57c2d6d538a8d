// Fuzzes the reader of an adviser's answers: however the bytes are cut, the same text
// comes out, within its limit, as valid UTF-8.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "advisor/answer_reader.h"
#include "base/result.h"
#include "base/utf8.h"

namespace {

constexpr std::uint64_t kTextBytesMax = 200;

std::string text_of(std::string_view bytes, std::size_t piece) {
  hearth::advisor::AnswerReader reader(kTextBytesMax);
  while (!bytes.empty() && reader.feed(bytes.substr(0, piece))) {
    bytes.remove_prefix(bytes.size() < piece ? bytes.size() : piece);
  }
  reader.finish();
  HEARTH_CHECK(hearth::is_valid_utf8(reader.text()));
  HEARTH_CHECK(reader.use().prompt_tokens >= -1 && reader.use().completion_tokens >= -1);
  return reader.text();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string whole = text_of(bytes, size + 1);
  HEARTH_CHECK(text_of(bytes, 1) == whole);
  HEARTH_CHECK(text_of(bytes, 5) == whole);
  return 0;
}
