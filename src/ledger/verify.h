// Checks a ledger's chain: every row's hash, place and links, and that the copies of its
// head and of its sums agree.
//
// What it finds: any change to a row, a row deleted, inserted or moved, rows cut off the
// tail while `chain_head`, PATH.head or an expected head still knows of them, a settle
// row without its call, a call settled twice, and a `spend` table that was altered.
// What no such check can find: someone who may write the database and both heads, and
// forges all of them consistently; against that, keep a head elsewhere and pass it in.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "ledger/head_file.h"
#include "ledger/ledger.h"

namespace hearth::ledger {

struct VerifyReport {
  std::int64_t rows = 0;
  std::int64_t calls = 0;
  std::int64_t open_calls = 0;         // Without a settle row: running, or left by a crash.
  std::int64_t charged_usd_micro = 0;  // All settled calls together.
  ChainHead head;                      // Of the last row; keep it to prove the tail later.
  std::vector<std::string> problems;   // One sentence each, at most kProblemsMax; empty: it holds.
};
inline constexpr std::size_t kProblemsMax = 20;

// Reads the whole chain.  An error means that it could not be read at all; what is wrong with what
// could be read is in the report.
Result<VerifyReport> verify(const Ledger& ledger,
                            const std::optional<ChainHead>& expected_head = std::nullopt);

}  // namespace hearth::ledger
