// Whatever is put as a conversation is refused, or has a head that is read back as it was written.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "api/hearth/consents.h"
#include "api/hearth/conversations.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth::api::hearth;
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  (void)parse_pin(body);
  if (const auto read = parse_head_line(body); read && !is_conversation_id(read->id)) std::abort();
  const auto head = parse_conversation("c-1", body);
  if (!head) return 0;
  const auto again = parse_head_line(render_head_line(*head));
  if (!again || again->id != "c-1" || again->title != head->title || again->updated_at_ms != head->updated_at_ms) std::abort();
  return 0;
}
