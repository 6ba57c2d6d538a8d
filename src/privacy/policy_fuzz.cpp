// Any text: a policy or an error that names the file; a policy judges every source the same way twice.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "privacy/policy.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth::privacy;
  const auto policy = parse_policy({reinterpret_cast<const char*>(data), size}, "fuzz.toml");
  if (!policy) {
    HEARTH_CHECK(policy.error().message.find("fuzz.toml") != std::string::npos);
    return 0;
  }
  (void)policy->check();
  const Source source{"tool", "read", {"/home/me/.ssh/id", "x"}};
  HEARTH_CHECK(policy->judge(source, "p").gives <= policy->judge(Sources{source, {}}, "p").gives);
  return 0;
}
