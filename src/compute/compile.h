// A unit becomes a kernel's image: g++ in the compile jail, freestanding, without headers or
// libraries.
//
// What comes back of the compiler's messages are those about the unit's own lines alone, shortened:
// they may go to an adviser, and nothing else that the compiler can read should.
//
// One compiler and one set of flags, so that a receipt can say what was built: -O3, and never
// -ffast-math.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/result.h"
#include "compute/prelude.h"
#include "sandbox/device_image.h"
#include "sandbox/owned_fd.h"

namespace hearth::compute {

struct BuildFlags {
  std::string march = "native";
  bool contracts = false;  // a*b+c may round once: faster, and other bits where there is no FMA.
  bool is_quick = false;   // Little optimised: for oracles, which run a few times.
};

// A kernel that can be loaded (sandbox::Worker::load).
struct Image {
  sandbox::OwnedFd fd;  // Sealed.
  std::string bytes;    // The same.
  std::vector<std::string> flags;
  std::string compiler;  // "g++ 12.2.0"; empty where the image was compiled before.
  std::int64_t compile_us = 0;
  // Of a kernel for a device (device_kernel.h): which one.
  std::optional<sandbox::DeviceIdentity> device = std::nullopt;

  // Whether it runs beside other memory than this machine's own.
  bool is_elsewhere() const { return device && device->is_host == 0; }
};

inline constexpr std::size_t kDiagnosticLinesMax = 12;
inline constexpr std::size_t kDiagnosticBytesMax = 300;  // Of a line.

// kInvalidArgument: the unit does not compile, in the compiler's words about its own lines.
// kUnsupported: there is no compiler, or no jail can be built, with the reason.
//
// Threading: any thread; it waits for the compiler, some 50 ms.
Result<Image> compile_unit(const Unit& unit, const BuildFlags& flags);

// An image from bytes that were compiled before.
Result<Image> image_from(std::string bytes);

// "g++ 12.2.0"; asked once.
Result<std::string> compiler_version();

// What this machine runs of those that -march names: "x86-64-v2", ...; the best last.
std::vector<std::string> marches_here();

// The compiler's messages about the unit's own lines: "NAME:LINE: ..." or "NAME(LINE): ...", behind
// "error: " where a driver puts that first.
std::vector<std::string> own_diagnostics(std::string_view output, std::size_t n_source_lines,
                                         std::string_view source_name = kSourceName);

}  // namespace hearth::compute
