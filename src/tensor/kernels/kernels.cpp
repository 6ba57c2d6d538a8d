#include "tensor/kernels/kernels.h"

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <vector>

#include "base/log.h"
#include "tensor/grids.h"
#include "tensor/kernels/tables.h"

namespace hearth::tensor {
namespace {

struct IsaRow {
  Isa isa;
  std::string_view name;
  bool (*machine_has)();
  const Kernels* (*table)();
};

#if defined(__x86_64__)
// The compiler's run-time library also checks that the operating system saves the registers.
bool machine_has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("f16c");
}
bool machine_has_avx512() {
  return machine_has_avx2() && __builtin_cpu_supports("avx512f") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}
#endif

constexpr IsaRow kIsas[] = {
    {Isa::kScalar, "scalar", [] { return true; }, scalar::table},
#if defined(__x86_64__)
    {Isa::kAvx2, "avx2", machine_has_avx2, avx2::table},
    {Isa::kAvx512, "avx512", machine_has_avx512, avx512::table},
#endif
};

const std::vector<Isa>& available() {
  static const std::vector<Isa> isas = [] {
    std::vector<Isa> found;
    for (const IsaRow& row : kIsas) {
      if (row.machine_has()) found.push_back(row.isa);
    }
    return found;
  }();
  return isas;
}

const Kernels* initial_table() {
  const Isa best = available().back();
  const char* wanted = std::getenv("HEARTH_ISA");
  if (wanted == nullptr) return kernels_for(best);
  const auto isa = isa_from_name(wanted);
  if (isa && kernels_for(*isa) != nullptr) return kernels_for(*isa);
  log_warn("tensor",
           fmt::format("HEARTH_ISA={} is not available here; using {}", wanted, isa_name(best)));
  return kernels_for(best);
}

std::atomic<const Kernels*>& current() {
  static std::atomic<const Kernels*> table = initial_table();
  return table;
}

}  // namespace

std::string_view isa_name(Isa isa) {
  static constexpr std::array<std::string_view, 3> kNames = {"scalar", "avx2", "avx512"};
  return kNames[static_cast<std::size_t>(isa)];
}

std::optional<Isa> isa_from_name(std::string_view name) {
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
    if (isa_name(isa) == name) return isa;
  }
  return std::nullopt;
}

std::span<const Isa> available_isas() { return available(); }

Isa selected_isa() { return kernels().isa; }

Result<> select_isa(Isa isa) {
  const Kernels* table = kernels_for(isa);
  if (table == nullptr) {
    return fail(Code::kUnsupported,
                fmt::format("instruction set '{}' is not available on this machine; the best is "
                            "'{}'",
                            isa_name(isa), isa_name(available().back())));
  }
  current().store(table, std::memory_order_release);
  return {};
}

const Kernels& kernels() { return *current().load(std::memory_order_acquire); }

const Kernels* kernels_for(Isa isa) {
  for (const IsaRow& row : kIsas) {
    if (row.isa == isa && row.machine_has()) return row.table();
  }
  return nullptr;
}

const QuantTraits* quant_traits(DType type) {
  static constexpr QuantTraits kTraits[] = {
      {DType::kQ4_0, 32, 1, false, 8},
      {DType::kQ4_1, 32, 1, true, 0},
      {DType::kQ5_0, 32, 1, false, 16},
      {DType::kQ5_1, 32, 1, true, 0},
      {DType::kQ8_0, 32, 1, false, 128},
      {DType::kQ2_K, 256, 2, true, 0},
      {DType::kQ3_K, 256, 2, false, 4},
      {DType::kQ4_K, 256, 1, true, 0},
      {DType::kQ5_K, 256, 1, true, 0},
      {DType::kQ6_K, 256, 2, false, 32},
      {DType::kIQ4_NL, 32, 1, false, 128},
      {DType::kIQ4_XS, 256, 1, false, 128},
      {DType::kMXFP4, 32, 1, false, 128},
      {DType::kIQ2_XXS, 256, 1, false, kGridOffset},
      {DType::kIQ2_XS, 256, 2, false, kGridOffset},
      {DType::kIQ2_S, 256, 2, false, kGridOffset},
      {DType::kIQ3_XXS, 256, 1, false, kGridOffset},
      {DType::kIQ3_S, 256, 1, false, kGridOffset},
      {DType::kIQ1_S, 256, 1, false, kGridOffset},
      {DType::kIQ1_M, 256, 2, false, kGridOffset},
      {DType::kTQ1_0, 256, 1, false, kGridOffset},
      {DType::kTQ2_0, 256, 1, false, kGridOffset},
  };
  for (const QuantTraits& traits : kTraits) {
    if (traits.type == type) return &traits;
  }
  return nullptr;
}

}  // namespace hearth::tensor
