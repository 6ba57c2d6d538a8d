// The bytes of worker/ and device/, linked by CMakeLists.txt into programs of their own before this
// file.
#include "sandbox/program.h"

#ifdef HEARTH_JAIL_PROGRAM

#include "base/embedded_file.h"

HEARTH_EMBED_FILE(hearth_jail_program, HEARTH_JAIL_PROGRAM);
HEARTH_EMBED_FILE(hearth_device_program, HEARTH_DEVICE_PROGRAM);

namespace hearth::sandbox {
std::span<const std::byte> program_bytes(Program program) {
  if (program == Program::kJail) return {hearth_jail_program_begin, hearth_jail_program_end};
  return {hearth_device_program_begin, hearth_device_program_end};
}
}  // namespace hearth::sandbox

#else

namespace hearth::sandbox {
std::span<const std::byte> program_bytes(Program) { return {}; }
}  // namespace hearth::sandbox

#endif
