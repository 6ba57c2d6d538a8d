// A thread of its own for the ledger, so that threads which must not wait for the disk
// (engine, conductor, network) hand over their writes and go on.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "ledger/ledger.h"

namespace hearth::ledger {

// Runs jobs one after another in the order in which they were posted.
//
// Threading: post() from any thread, also from inside a job.  Destruction runs what is queued
// first.
class LedgerWriter {
 public:
  using Job = std::function<void(Ledger&)>;

  explicit LedgerWriter(Ledger& ledger);  // Borrowed; outlives the writer.
  ~LedgerWriter();
  LedgerWriter(const LedgerWriter&) = delete;
  LedgerWriter& operator=(const LedgerWriter&) = delete;

  void post(Job job);

 private:
  void work();

  Ledger& ledger_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;  // Bounded by what posts: a few per request that the hub admitted.
  bool stopping_ = false;
  std::thread thread_;  // Last: it uses the members above.
};

}  // namespace hearth::ledger
