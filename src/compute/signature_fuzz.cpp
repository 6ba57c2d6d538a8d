// Signatures come from contracts that an adviser or a client wrote: parse any bytes, and what
// parses must read back as itself.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "compute/signature.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth::compute;
  const auto signature = parse_signature({reinterpret_cast<const char*>(data), size});
  if (!signature) return 0;
  const auto again = parse_signature(signature->text());
  if (!again || again->text() != signature->text()) std::abort();
  std::vector<std::int64_t> values(signature->symbols.size(), 3);
  for (const Parameter& parameter : signature->parameters) (void)shape_of(parameter, values);
  return 0;
}
