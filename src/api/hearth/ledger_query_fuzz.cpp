// Whatever stands behind '?' is a filter or an error that names its parameter, and a filter stays within its limits.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "api/hearth/ledger_report.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth::api::hearth;
  const std::string_view target(reinterpret_cast<const char*>(data), size);
  if (const auto rows = parse_egress_filter(target)) {
    if (rows->limit > kRowsPerAnswerMax || rows->after_seq < 0 || rows->request_id.size() > 256) std::abort();
  }
  if (const auto receipts = parse_receipt_filter(target)) {
    if (receipts->limit > kReceiptsPerAnswerMax || receipts->since_unix_us < 0) std::abort();
  }
  return 0;
}
