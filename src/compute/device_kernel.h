// Kernels for devices: from a contract and its source to an image, by the driver's own compiler in
// the compile jail, for the device that there is.
//
// The source is OpenCL C or CUDA C++ behind a prelude which gives both the same words, so that a
// kernel which keeps to them is one text for both:
//
//   KERNEL scale(GLOBAL f32* restrict out, GLOBAL const f32* restrict in, i64 n) {
//     const i64 i = ITEM(0);
//     if (i < n) out[i] = 2 * in[i];
//   }
//
// The compiler's messages are treated as g++'s are (compile.h): of the source's own lines alone.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "compute/compile.h"
#include "compute/contract.h"
#include "compute/prelude.h"
#include "sandbox/device_image.h"
#include "sandbox/jailed_command.h"
#include "sandbox/worker.h"

namespace hearth::compute {

// The words that kernels in a language have, for people and for the adviser to read.
std::string device_prelude_text(Language language);
// "KERNEL scale(GLOBAL f32* restrict out, ..., i64 n)".
std::string device_declaration(const Contract& contract);
// kInvalidArgument for source that is refused before a compiler sees it.
Result<Unit> device_unit(const Contract& contract, std::string_view source);

sandbox::WorkerKind worker_kind(Language language);

// The device that kernels in this language run on.  kUnsupported, with the reason, where there is
// none.  Found out once, in a worker, which takes some 40 ms.
//
// Threading: any thread.
Result<sandbox::DeviceIdentity> device_here(Language language);

// What stands before a driver's binary in an image.
sandbox::DeviceImageHeader device_header(const Contract& contract,
                                         const sandbox::DeviceIdentity& device);

// Of a driver's compiler, which brings LLVM along: more memory and threads than g++ has.
sandbox::JailLimits device_compile_limits();

// Errors as compile_unit(); a second with PoCL, 0.1 s with NVRTC.  No device is asked: CUDA's compiler needs none.
Result<Image> compile_for_device(const Contract& contract, const Unit& unit,
                                 const sandbox::DeviceIdentity& device,
                                 const sandbox::JailLimits& limits = device_compile_limits());

}  // namespace hearth::compute
