// What a kernel costs before it runs: compiled, from disk, from memory; and an empty run.
#include <benchmark/benchmark.h>

#include "compute/kernel_runner.h"
#include "compute/kernels_for_test.h"
#include "compute/shelf.h"

namespace hearth::compute {
namespace {

const TestKernel kScale = {"out f32[n], in f32[n], w f32[n], n i64",
                           "for (i64 i = 0; i < n; ++i) out[i] = in[i] * w[i];", "",
                           "tolerance_ulps = 1\n"};

const Kernel& scale_kernel() {
  static const auto kernel = build_for_test(kScale);
  return **kernel;
}

std::shared_ptr<const Kernel> copy_of(const Kernel& kernel) {
  return std::make_shared<const Kernel>(Kernel{.contract = kernel.contract,
                                               .key = kernel.key,
                                               .source = kernel.source,
                                               .image = *image_from(kernel.image.bytes),
                                               .receipt = kernel.receipt});
}

void compile_cold(benchmark::State& state) {
  const Kernel& kernel = scale_kernel();
  for (auto _ : state) {
    const auto unit = kernel_unit(kernel.contract, kernel.source);
    benchmark::DoNotOptimize(compile_unit(*unit, build_flags(kernel.contract)));
  }
}
BENCHMARK(compile_cold)->Unit(benchmark::kMillisecond);

void find_on_disk(benchmark::State& state) {
  const TestFolder folder;
  const auto key = *MachineKey::open(folder.path() / "key");
  (void)KernelShelf(folder.path(), key).put(copy_of(scale_kernel()));
  for (auto _ : state) {
    KernelShelf shelf(folder.path(), key);
    if (!shelf.find(scale_kernel().key)) state.SkipWithError("not found");
  }
}
BENCHMARK(find_on_disk)->Unit(benchmark::kMicrosecond);

void find_in_memory(benchmark::State& state) {
  const TestFolder folder;
  KernelShelf shelf(folder.path(), *MachineKey::open(folder.path() / "key"));
  (void)shelf.put(copy_of(scale_kernel()));
  for (auto _ : state) benchmark::DoNotOptimize(shelf.find(scale_kernel().key));
}
BENCHMARK(find_in_memory)->Unit(benchmark::kNanosecond);

void verify_whole(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(build_for_test(kScale));
}
BENCHMARK(verify_whole)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace hearth::compute
