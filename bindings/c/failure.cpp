#include "failure.h"

#include <algorithm>
#include <cstring>

namespace hearth::client {
namespace {

// Without a destructor, so that threads may end after the library was unloaded.
constexpr std::size_t kSentenceBytesMax = 8192;  // A compiler's findings are long.
thread_local char last_sentence[kSentenceBytesMax] = "";

}  // namespace

void remember(std::string_view sentence) noexcept {
  const std::size_t n = std::min(sentence.size(), kSentenceBytesMax - 1);
  std::memcpy(last_sentence, sentence.data(), n);
  last_sentence[n] = '\0';
}

}  // namespace hearth::client

uint32_t hearth_version(void) { return HEARTH_VERSION; }
const char* hearth_error(void) { return hearth::client::last_sentence; }
