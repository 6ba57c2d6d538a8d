// Hearth's own API: the kernels of this hub, and asking for new ones.
//
//   GET    /hearth/v1/kernels         {"kernels": [ENTRY],
//                                      "machine": {"cpu", "isa", "threads", "roof_gflops_f32",
//                                                  "roof_gflops_f64", "roof_gb_s"},
//                                      "jail": {"works", "reason"},
//                                      "devices": [{"name": "opencl", "about", "works", "device",
//                                                   "is_processor", "reason", "kernels": [NAME]}]}
//   GET    /hearth/v1/kernels/{name}  ENTRY, with "contract" (TOML), "source" and "receipt" (JSON,
//                                     signed)
//   DELETE /hearth/v1/kernels/{name}  {"dropped": KEY}
//   POST   /hearth/v1/kernels         {"prose": "multiply in by w", "contract": "TOML",
//                                      "language": "opencl", "rounds": 4, "stream": true}
//   POST   /hearth/v1/kernels/run     kernel_run.h
//
// An ENTRY: "name", "key" (of its contract, in hexadecimal), "origin" ("built-in" or "verified"),
// "about", "signature", "language", "device" ("cpu", or the device's name), "threads", "determinism", and as expressions of the
// signature's symbols "flops" and "bytes"; "errors" (null, or {"max_units", "tolerance_units"}, in
// units of the last place), "speed" (null, or {"sizes", "run_ns", "gflops", "gb_s", "roof_gflops",
// "roof_gb_s", "roof_percent"}: a verified kernel's from its receipt, a built-in's from its last
// run beside the roofs), "verified_at", "seed", "compiler" (of a verified one, else null).
//
// A device is where the built-in ones of its "kernels" can run, too: run_kernel's "device", or
// NAME@DEVICE wherever a name is taken.  One that is not here has the reason.
//
// A kernel that is asked for comes as server-sent events: "progress" {"done", "total", "what"},
// "consent" (what waits for somebody's consent: consents.h), "round" {"round", "step", "problem",
// "adviser", "bytes_out", "cost_usd_micro"}, and last "kernel" (an ENTRY with contract, source and
// receipt, and "was_known", "rounds", "bytes_out", "cost_usd_micro", "ledger_receipt") or "error".
// A round's step says how far its answer came: "asked", "contract", "source", "compile", "verify"
// or "passed".  Without "stream" the last of them is the answer.  A contract that has its kernel
// along (key `source`) is built from that, and nobody is asked.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "api/request_values.h"
#include "hub/kernels/kernel_desk.h"

namespace hearth::api::hearth {

inline constexpr std::size_t kProseBytesMax = std::size_t{16} << 10;
inline constexpr std::uint32_t kRoundsMax = 16;

std::string render_kernels(std::span<const hub::KernelEntry> kernels,
                           const hub::MachineRoofs& roofs, const Result<>& jail,
                           std::span<const hub::DeviceEntry> devices);
std::string render_kernel(const hub::KernelEntry& kernel);

struct KernelAsk {
  hub::KernelRequest request;
  std::uint32_t rounds = 4;
  bool stream = true;
};
Parsed<KernelAsk> parse_kernel_ask(std::string_view body);

std::string render_written(const hub::KernelEntry& kernel, const hub::WrittenKernel& written);
std::string render_progress(std::uint64_t done, std::uint64_t total, std::string_view what);
std::string render_round(std::size_t number, const hub::KernelRound& round);

}  // namespace hearth::api::hearth
