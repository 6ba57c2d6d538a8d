// What a Ledger owns; shared by the files of this room only.
#pragma once

#include <memory>
#include <mutex>

#include "base/clock.h"
#include "ledger/egress_row.h"
#include "ledger/head_file.h"
#include "ledger/ledger.h"
#include "ledger/sqlite.h"

namespace hearth::ledger {

// The shared lock on PATH.lock that says "a process writes here".
class ProcessLock {
 public:
  ProcessLock() = default;
  ~ProcessLock();
  ProcessLock(const ProcessLock&) = delete;
  ProcessLock& operator=(const ProcessLock&) = delete;

  // Takes the lock; true if nobody else held it, in which case nobody else gets it either until
  // share() is called.
  Result<bool> acquire(const std::filesystem::path& ledger_path);
  void share();

 private:
  int fd_ = -1;
};

struct Ledger::State {
  State(const std::filesystem::path& path, const Clock& its_clock)
      : clock(its_clock), head_file(path) {}

  mutable std::mutex mutex;  // Guards everything below.
  const Clock& clock;
  std::unique_ptr<Database> database;
  HeadFile head_file;
  ProcessLock process_lock;
  std::int64_t recovered_calls = 0;
};

// All columns of `egress`, in the order that read_egress_row expects.
#define HEARTH_EGRESS_COLUMNS                                                                 \
  "seq, kind, call_seq, at_unix_us, request_id, provider, url, model, headers, body, rule, "  \
  "reserved_usd_micro, charged_usd_micro, reported_usd_micro, prompt_tokens, cached_tokens, " \
  "completion_tokens, http_status, outcome, bytes_in, response_sha256, prev_hash, hash, "       \
  "cache_write_tokens"

EgressRow read_egress_row(const Query& query);

// Day number since 1970-01-01, UTC.
std::int64_t day_of(std::int64_t at_unix_us);

Result<ChainHead> read_chain_head(Database& database);

}  // namespace hearth::ledger
