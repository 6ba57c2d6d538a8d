// One row of the egress ledger and the bytes that its hash covers.
//
// The ledger is a chain: each row's hash covers all its columns and the hash before
// it, so that no row can be changed, dropped, added or moved without every later hash
// changing too.  docs/design/0003-ledger-format.md defines the bytes for other programs;
// scripts/verify_ledger.py is one.
//
// Two kinds of row share the form.  A "send" row is committed before the first byte of
// a call leaves; a "settle" row follows when the call has ended and points back at it.
// Columns that a kind does not use hold "" or 0.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/digest.h"

namespace hearth::ledger {

inline constexpr std::string_view kKindSend = "send";
inline constexpr std::string_view kKindSettle = "settle";

// Token counts that the provider did not report.
inline constexpr std::int64_t kUnreported = -1;

struct EgressRow {
  std::int64_t seq = 0;       // 1, 2, 3, ... without gaps.
  std::string kind;           // kKindSend or kKindSettle.
  std::int64_t call_seq = 0;  // The send row of this call: its own seq in a send row.
  std::int64_t at_unix_us = 0;
  std::string request_id;  // The receipt that this call belongs to.

  // Of a send row: what leaves, where to, and why it may.
  std::string provider;
  std::string url;  // Scheme, host and path; never credentials.
  std::string model;
  std::string headers;  // "name: value" lines as sent; a secret's value is left out.
  std::string body;     // The exact bytes.
  std::string rule;     // What allowed it.
  std::int64_t reserved_usd_micro = 0;

  // Of a settle row: what came of it.
  std::int64_t charged_usd_micro = 0;   // Counts against the budget.
  std::int64_t reported_usd_micro = 0;  // By the provider's own usage, which may be wrong.
  std::int64_t prompt_tokens = 0;       // As reported, or kUnreported.
  std::int64_t cached_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t http_status = 0;  // 0: no response.
  std::string outcome;           // "answered", "refused", "broken", "not_sent", "unknown", ...
  std::int64_t bytes_in = 0;     // Of the response's body.
  std::string response_sha256;   // 32 bytes over the response's body; empty for none.
  // Of the prompt, written to the provider's cache, or kUnreported; unset in rows of the first form, which
  // have no such column and another hash.
  std::optional<std::int64_t> cache_write_tokens = 0;

  Sha256 prev_hash{};  // Of the row before; zeros in the first.
  Sha256 hash{};       // Of this row: canonical_hash(*this).
};

// SHA-256 over the row's canonical form, which starts with prev_hash and leaves `hash` out.
Sha256 canonical_hash(const EgressRow& row);

}  // namespace hearth::ledger
