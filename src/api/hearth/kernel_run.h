// Hearth's own API: running a kernel on arrays.
//
//   POST /hearth/v1/kernels/run
//     {"name": "gemm_f32",                                       by name, or by 8 digits and more of its key
//      "device": "opencl",                                       of a built-in: where it runs; or in its name
//      "arrays": {"a": [[1, 2], [3, 4]],                         nested lists, or
//                 "b": {"shape": [2, 2], "data": [1, 0, 0, 1]},  a shape and its numbers, row by row;
//                 "factor": 2},                                  scalars are numbers
//      "sizes": {"n": 512},                                      symbols that no array says
//      "seed": 1,                                                what is read and not given is drawn from this
//      "repeats": 1,                                             runs
//      "roof": false,                                            whether the machine's roofs are probed beside them
//      "outputs": "values"}                                      or "none": their digest alone
//
//     {"name", "key", "sizes": {"m": 2, ...}, "drawn": ["a"], "results_sha256", "runs", "threads",
//      "device": "cpu", "copies": 0,                             or the device's name, and copies of tensors for it
//      "flops", "bytes", "run_ns", "gflops", "gb_s",
//      "roof_gflops", "roof_gb_s", "roof_percent",               where roofs were asked for
//      "outputs": {"out": {"dtype", "shape", "data"}}}           where values were
//
// Numbers that JSON lacks are the texts "NaN", "Infinity" and "-Infinity".  Larger arrays travel as
// they lie in memory: with the content type application/x-safetensors (or application/octet-stream)
// the body is a safetensors file whose tensors are the arrays, and whose metadata has the object
// above, without them, as the text "request".  The answer is one, too, its metadata has the object
// above, without outputs, as "report".
#pragma once

#include <string>
#include <string_view>

#include "api/request_values.h"
#include "hub/kernels/kernel_desk.h"

namespace hearth::api::hearth {

inline constexpr std::string_view kTensorsType = "application/x-safetensors";
// More than that is no use as JSON: a caller is told to ask for tensors.
inline constexpr std::size_t kJsonElementsMax = std::size_t{1} << 18;

struct KernelRunAsk {
  hub::RunnableKernel kernel;
  hub::KernelCall call;
  bool wants_values = true;
};

// Who knows kernels by name: KernelDesk::find.
using FindKernel = std::function<Result<hub::RunnableKernel>(std::string_view name)>;

Parsed<KernelRunAsk> parse_kernel_run(const FindKernel& find, std::string_view body);
Parsed<KernelRunAsk> parse_kernel_run_tensors(const FindKernel& find, std::string_view body);

// 400 for more values than kJsonElementsMax.
Parsed<std::string> render_kernel_run(const KernelRunAsk& ask, const hub::KernelOutcome& outcome);
std::string render_kernel_run_tensors(const KernelRunAsk& ask, const hub::KernelOutcome& outcome);

// All of it for a caller with JSON: a tool of a model, say.
Parsed<std::string> run_kernel(hub::KernelDesk& desk, std::string_view body,
                               const hub::StillWanted& still_wanted);

}  // namespace hearth::api::hearth
