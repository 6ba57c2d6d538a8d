#include "ledger/writer.h"

#include <utility>

namespace hearth::ledger {

LedgerWriter::LedgerWriter(Ledger& ledger) : ledger_(ledger), thread_([this] { work(); }) {}

LedgerWriter::~LedgerWriter() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void LedgerWriter::post(Job job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  changed_.notify_one();
}

void LedgerWriter::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job(ledger_);
    job = nullptr;  // What it captured is released without the lock.
    lock.lock();
  }
}

}  // namespace hearth::ledger
