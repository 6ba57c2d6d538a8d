#include "hub/kernels/kernel_brief.h"

#include <fmt/format.h>

#include "compute/device_kernel.h"
#include "compute/prelude.h"

namespace hearth::hub {
namespace {

constexpr std::string_view kInstruction =
    "You write compute kernels in C++20 for g++ on x86-64. They are compiled without any header or "
    "library and run "
    "in a jail; results are compared with an oracle at many sizes (0, 1, primes, non-multiples of "
    "vectors, large).\n"
    "Answer with fenced code blocks and next to no other words: one ```cpp block with the whole "
    "kernel, and, where you "
    "are asked for a contract, one ```toml block with it.\n"
    "The kernel defines exactly the function that the question declares. There is no #include, no "
    "assembly, no system "
    "call, no clock, no allocation, no static constructor, no exception; only the prelude below "
    "and the compiler's vector "
    "extensions. It writes every element of its outputs, reads and writes nothing beside its "
    "tensors, keeps to the number of "
    "threads by par_for alone, and is as fast as you can make it. Tensors are row-major; memory is "
    "aligned to the "
    "element only. Bits must not depend on addresses.\n"
    "The prelude:\n```cpp";

constexpr std::string_view kDeviceInstruction =
    "You write compute kernels in {}. They are compiled without any header by the driver's own "
    "compiler and run in a process of their own; results are compared with an oracle at many sizes "
    "(0, 1, primes, non-multiples of groups, large).\n"
    "Answer with fenced code blocks and next to no other words: one ```{} block with the whole "
    "kernel, and, where you are asked for a contract, one ```toml block with it.\n"
    "The kernel defines exactly the function that the question declares, which runs once for each "
    "work item. The contract's range says how many items there are in each of 1 to 3 dimensions, "
    "dimension 0 counting fastest; it is rounded up to whole groups (the contract's group), so look "
    "first whether the item is wanted: if (ITEM(0) >= n) return; but let every item of a group reach "
    "each BARRIER(). There is no #include, no assembly, no printing, no clock. It writes every "
    "element of its outputs, reads and writes nothing beside its tensors, and is as fast as you can "
    "make it. Tensors are row-major; memory is aligned to the element only. Two runs give the same "
    "bits: no atomic sums of floats.\n"
    "The prelude:\n```{}";

constexpr std::string_view kDeviceContractForm =
    "language = \"{}\"\n"
    "range = [\"n\"]                            # expressions of the symbols: work items, 1 to 3 "
    "dimensions\n"
    "group = [64]                             # work items of a group, 256 together at most; "
    "optional\n";

constexpr std::string_view kContractBegin =
    "Write the contract first, as TOML:\n"
    "name = \"scale\"                          # the function's name\n"
    "signature = \"out f32[n], in f32[n], w f32[n], n i64\"\n"
    "  # NAME TYPE[EXTENT, ...] is a tensor, NAME TYPE a scalar (i32 i64 f32 f64); types f32 f64 "
    "i8 i16 i32 i64 u8 u16 u32 u64;\n"
    "  # names 'out' and 'out_...' are written, 'inout...' read and written, all others read; a "
    "symbol is an integer scalar or stands\n"
    "  # alone as an extent of some tensor; symbols that are no scalars follow as i64 parameters "
    "of the function.\n"
    "preconditions = [\"n >= 1\"]               # optional: sizes that callers keep to\n"
    "tolerance_ulps = \"2\"                     # an expression; units in the last place, scaled "
    "by the condition\n"
    "determinism = \"D1\"                       # D0 run to run, D1 threads, D2 instruction sets, "
    "D3 order of elements\n"
    "n_threads = 1\n";

constexpr std::string_view kContractEnd =
    "flops = \"n\"                              # an expression of the symbols\n"
    "oracle = '''\n"
    "HEARTH_ORACLE scale(f64* out, const f64* in, const f64* w, i64 n) { for (i64 k = 0; k < n; "
    "++k) out[k] = in[k] * w[k]; }\n"
    "'''                                       # the obvious way, floats as f64, one thread, the "
    "same names\n"
    "[ranges]                                  # optional: values of inputs\n"
    "in = [-1, 1]\n"
    "Tables come last.\n";

}  // namespace

std::string_view fence_of(compute::Language language) {
  return compute::is_for_device(language) ? compute::language_name(language) : "cpp";
}

std::string kernel_instruction(compute::Language language) {
  if (!compute::is_for_device(language))
    return fmt::format("{}{}```", kInstruction, compute::prelude_text());
  const std::string_view name =
      language == compute::Language::kCuda ? "CUDA C++ for NVRTC" : "OpenCL C 1.2";
  const std::string_view fence = fence_of(language);
  return fmt::format(kDeviceInstruction, name, fence, fence) +
         compute::device_prelude_text(language) + "```";
}

std::string kernel_question(std::string_view prose,
                            const std::optional<compute::Contract>& contract,
                            compute::Language language, const std::optional<KernelAttempt>& last) {
  std::string text = fmt::format("Write this kernel: {}\n", prose);
  if (contract) {
    text +=
        fmt::format("It must define: {}\nThe contract that it is held against:\n```toml\n{}```\n",
                    compute::is_for_device(language) ? compute::device_declaration(*contract)
                                                     : compute::kernel_declaration(*contract),
                    compute::to_toml(*contract));
  } else {
    text += kContractBegin;
    if (compute::is_for_device(language))
      text += fmt::format(kDeviceContractForm, compute::language_name(language));
    text += kContractEnd;
  }
  if (!last) return text;
  if (!last->contract_toml.empty() && !contract)
    text += fmt::format("Your last contract was:\n```toml\n{}\n```\n", last->contract_toml);
  if (!last->source.empty())
    text += fmt::format("Your last kernel was:\n```{}\n{}\n```\n", fence_of(language), last->source);
  return text + fmt::format("It was refused: {}\nWrite it again, whole.\n", last->problem);
}

}  // namespace hearth::hub
