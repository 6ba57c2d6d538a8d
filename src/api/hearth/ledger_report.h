// Hearth's own API: the ledger, read.
//
//   GET  /hearth/v1/receipts?limit=&since_us=&model=&advice=   {"receipts": [...]}, the newest first
//   GET  /hearth/v1/ledger?request=&after=&limit=              {"rows": [...], "budget": {...}, "today": {...}},
//                                                              the oldest first, from the row behind `after` on
//   POST /hearth/v1/ledger/verify                              what `hearth ledger verify --json` says
//
// A row's exact bytes and headers are there where one request's rows are asked for (`request`, a receipt's id);
// else only their number.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "api/request_values.h"
#include "ledger/ledger.h"
#include "ledger/verify.h"

namespace hearth::api::hearth {

inline constexpr std::size_t kReceiptsPerAnswerMax = 1'000;
inline constexpr std::size_t kRowsPerAnswerMax = 1'000;

// Of a request's target, what stands behind '?'.  Unknown names are skipped.
Parsed<ledger::ReceiptFilter> parse_receipt_filter(std::string_view target);
Parsed<ledger::EgressFilter> parse_egress_filter(std::string_view target);

// Wait for the disk.  Errors: those of the ledger.
Result<std::string> render_receipts(const ledger::Ledger& book, const ledger::ReceiptFilter& filter);
Result<std::string> render_egress(const ledger::Ledger& book, const ledger::EgressFilter& filter,
                                  const ledger::BudgetLimits& budget, std::int64_t now_unix_us);
std::string render_verification(const ledger::VerifyReport& report);

}  // namespace hearth::api::hearth
