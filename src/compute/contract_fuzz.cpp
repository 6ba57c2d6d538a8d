// Contracts, kernels and the answers around them are written by strangers: read any bytes.  A
// contract that is read must read back as itself, with the same key; source that is passed on has
// no directive that reads files.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "compute/code_blocks.h"
#include "compute/compile.h"
#include "compute/contract.h"
#include "compute/draw.h"
#include "compute/source_check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth::compute;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto source = check_source(text); source && source->starts_with("#include"))
    std::abort();
  const auto for_device = check_device_source(text, "kernel.cl");
  if (for_device && for_device->find("#include") != std::string::npos) std::abort();
  (void)find_code_blocks(text);
  (void)own_diagnostics(text, 100);
  const auto contract = parse_contract(text, "fuzz");
  if (!contract) return 0;
  const auto again = parse_contract(to_toml(*contract), "again");
  if (!again || contract_key(*again) != contract_key(*contract)) std::abort();
  const std::vector<std::int64_t> large(contract->signature.symbols.size(), INT64_MAX);
  (void)items_of(*contract, large);
  Dice dice(1);
  const DrawLimits limits{.bytes_max = 4096, .work_max = 4096};
  if (const auto sizes = draw_sizes(*contract, Sizes::kMixed, limits, dice))
    (void)draw_case(*contract, *sizes, Values::kEven, dice);
  return 0;
}
