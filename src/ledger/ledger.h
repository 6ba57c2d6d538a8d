// The ledger: what left this machine, to whom, why it was allowed and what it cost; and
// a receipt for each answer.
//
// Egress rows form a hash chain (egress_row.h).  `begin_call` reserves money and commits
// the exact bytes of a call, durably, in one transaction before any of them leaves;
// `settle` appends what came of it.  Rows are never updated.  Reservations need no table
// of truth: a call without a settle row is open and counts with what it reserved.  A
// small table `spend` repeats each call's charge so that a budget check reads one index
// range; `verify` compares it with the chain.
//
// A crash between the two leaves an open call.  The next opening finds it and settles
// it as "unknown" at the full reservation: the money may be gone, so it counts as gone.
// Several processes may share a ledger: each holds a shared lock on PATH.lock, and only
// one that finds itself alone settles what others left behind.
//
// The last row's number and hash are kept twice more: in the table `chain_head`, written
// in the same transaction, and in the file PATH.head, written after it.  So rows cut off
// the tail are missed by something that was not cut.  Whoever may write all three can
// forge a consistent whole: keep a head (`verify` prints it) somewhere else to notice.
//
// Durability: WAL; synchronous=FULL (an fsync per commit) for egress rows, NORMAL for
// receipts, which survive a crash of the program but, after a loss of power, may lack the
// last ones.
//
// Threading: any thread; calls take turns.  They wait for the disk, so threads that must not block
// go through LedgerWriter (writer.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "ledger/egress_row.h"

namespace hearth::ledger {

// Largest amount that is taken seriously: a million dollars.  Sums of these can't overflow.
inline constexpr std::int64_t kUsdMicroMax = 1'000'000'000'000;
inline constexpr std::size_t kBodyBytesMax = std::size_t{64} << 20;

// What may be spent, in micro-dollars, all providers together.
struct BudgetLimits {
  std::int64_t day_usd_micro = 0;      // Per UTC day of the call's begin.
  std::int64_t request_usd_micro = 0;  // Per request id.
};

// A call that is about to be made.  Never put a key in here: headers that carry one are listed by
// name alone.
struct CallIntent {
  std::string request_id;
  std::string provider;
  std::string url;
  std::string model;
  std::string headers;
  std::string body;
  std::string rule;
  std::int64_t reserved_usd_micro = 0;
};

enum class CallId : std::int64_t {};  // The seq of the call's send row.

struct Settlement {
  std::int64_t charged_usd_micro = 0;  // At most what was reserved.
  std::int64_t reported_usd_micro = 0;
  std::int64_t prompt_tokens = kUnreported;
  std::int64_t cached_tokens = kUnreported;
  std::int64_t cache_write_tokens = kUnreported;
  std::int64_t completion_tokens = kUnreported;
  int http_status = 0;
  std::string outcome;
  std::uint64_t bytes_in = 0;
  std::optional<Sha256> response_sha256;
};

// A receipt as stored: columns to filter by and the whole as JSON text.
struct ReceiptRow {
  std::string id;
  std::int64_t at_unix_us = 0;
  std::string model;
  std::string advice;  // advice_outcome_name()
  std::int64_t bytes_out = 0;
  std::int64_t cost_usd_micro = 0;
  std::string json;
  std::string client = {};  // Who asked: an API key's name or an address; empty: not known.
};

struct ReceiptFilter {
  std::size_t limit = 20;  // Newest first.
  std::int64_t since_unix_us = 0;
  std::string model;   // Empty: any.
  std::string advice;  // Empty: any.
  std::optional<std::string> client = {};  // Unset: anybody.
};

struct EgressFilter {
  std::string request_id;  // Empty: any.
  std::int64_t after_seq = 0;
  std::size_t limit = SIZE_MAX;  // Oldest first.
  std::optional<std::string> client = {};  // Calls of answers whose receipts are this client's; unset: all.
};

struct Spend {
  std::int64_t charged_usd_micro = 0;   // Settled.
  std::int64_t reserved_usd_micro = 0;  // Of calls that are open.
  std::int64_t calls = 0;
};

class Ledger {
 public:
  enum class Mode { kReadOnly, kReadWrite };

  // kReadWrite creates the file and its folder, brings an older schema up to date, and settles what
  // a crash left open.  kNotFound (read-only, no file), kCorrupt (no ledger, damaged, or its tail
  // is missing), kUnsupported (written by a newer Hearth), kPermissionDenied: one sentence each.
  static Result<std::unique_ptr<Ledger>> open(const std::filesystem::path& path, Mode mode,
                                              const Clock& clock = Clock::system());
  ~Ledger();

  // Reserves and records, all or none; when it returns, the row is on disk.  kOutOfBudget names the
  // limit and what is left of it.
  Result<CallId> begin_call(const CallIntent& intent, const BudgetLimits& limits);

  // Ends a call, once.  kInvalidArgument for one that has ended or a charge above its reservation.
  Result<> settle(CallId call, const Settlement& settlement);

  // Ends a call of which no byte left: nothing is charged.
  Result<> release(CallId call);

  // Stores a receipt; an existing id is kInvalidArgument.
  Result<> put_receipt(const ReceiptRow& receipt);
  // kNotFound: there is none of that id, or it is not this client's; unset: whoever's it is.
  Result<ReceiptRow> receipt(std::string_view id, const std::optional<std::string>& client = {}) const;
  Result<std::vector<ReceiptRow>> receipts(const ReceiptFilter& filter) const;

  // Calls `visit` for each matching row, oldest first, until it returns false.
  Result<> for_each_egress(const EgressFilter& filter,
                           const std::function<bool(const EgressRow&)>& visit) const;
  // One JSON object per line; the columns' names are the keys, hashes are hexadecimal, a body that
  // is no UTF-8 is "body_hex".
  Result<> export_json_lines(const EgressFilter& filter,
                             const std::function<void(std::string_view line)>& write) const;

  Result<Spend> spent_on_day_of(std::int64_t at_unix_us) const;
  Result<Spend> spent_by_request(std::string_view request_id) const;

  // Calls that this opening found open and settled as "unknown".
  std::int64_t recovered_calls() const;

  struct State;
  State& state() const { return *state_; }  // For verify.cpp.

 private:
  explicit Ledger(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace hearth::ledger
