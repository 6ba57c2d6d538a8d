// Recorded answers are files from anywhere: whatever they hold, reading and judging them ends well.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "advisor/gate/gate_model.h"
#include "advisor/gate/option_signals.h"
#include "advisor/gate/pair_row.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth::advisor::gate;
  const auto rows = parse_pair_rows({reinterpret_cast<const char*>(data), size});
  if (!rows) return 0;
  for (const PairRow& row : *rows) {
    (void)GateModel().judge(row.asked);
    (void)option_signals(row.asked, 0.5);
    (void)answer_signals(row.asked, Posterior(row.asked.options.size(), 0.1), {});
  }
  return 0;
}
