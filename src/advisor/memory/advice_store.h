// What advice said, kept on this machine with its question; and questions that no adviser could be reached for.
//
// A question that is like a remembered one (likeness.h) is answered from here without a call, but only where
// all of this is the same: who asks, the class that the privacy policy gives it, the adviser, the local model
// with its adapters, and everything that stood before the question.  Advice may speak of the draft that it was
// given ("the draft is right"), so the draft is kept, too, and given along where it is another one by now.
//
// One SQLite file beside the ledger, which nobody but the user may read; questions are found by its full-text
// index.  At most `entries_max` of each kind are kept; the oldest go first.
//
// Threading: any thread; calls take turns and wait for the disk.  Several programs may share the file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "advisor/memory/advice_key.h"
#include "base/clock.h"
#include "base/result.h"
#include "ledger/sqlite.h"

namespace hearth::advisor {

struct AdviceStoreOptions {
  std::filesystem::path file;
  double likeness_min = 1;  // Of a question that is answered from here, in [0, 1]; 1: only fillers differ.
  std::uint32_t days_max = 90;
  std::uint32_t entries_max = 10'000;
};

inline constexpr std::size_t kRememberedBytesMax = std::size_t{64} << 10;  // Of a question; longer ones are not kept.
inline constexpr std::size_t kDeferredBytesMax = std::size_t{1} << 20;     // Of a request.
inline constexpr std::uint32_t kDeferredMax = 1'000;

struct RememberedAdvice {
  std::string id;  // "a-12"
  std::int64_t at_unix_us = 0;
  std::string receipt;  // Of the answer that it was asked for.
  std::string adviser;  // That gave it.
  std::string question, draft, advice;
  double likeness = 0;
};

struct DeferredQuestion {
  std::string id;  // "d-12"
  std::int64_t at_unix_us = 0;
  std::string receipt;
  std::string model;    // That drafted.
  std::string request;  // As who deferred it writes requests.
  std::string draft;    // The answer that was given.
  std::string why;      // Why no adviser was reached.
};

class AdviceStore {
 public:
  // Makes the file and its folder.
  static Result<std::unique_ptr<AdviceStore>> open(AdviceStoreOptions options, const Clock& clock = Clock::system());

  // The likest, if it is like enough.
  Result<std::optional<RememberedAdvice>> recall(const AdviceKey& key, std::string_view question);
  // `advice.id` and `at_unix_us` are made here.
  Result<> remember(const AdviceKey& key, const RememberedAdvice& advice);
  Result<std::vector<RememberedAdvice>> remembered(std::size_t n);  // Newest first.
  // By its id, or its answer's receipt; "all" for all of it.  How many went.
  Result<std::int64_t> forget(std::string_view id);

  Result<> defer(const DeferredQuestion& question);  // One that waits already waits on, with its first answer.
  Result<std::vector<DeferredQuestion>> deferred();  // Oldest first.
  Result<std::int64_t> drop_deferred(std::string_view id);

 private:
  AdviceStore(AdviceStoreOptions options, const Clock& clock) : options_(std::move(options)), clock_(clock) {}
  Result<std::int64_t> changes();

  const AdviceStoreOptions options_;
  const Clock& clock_;
  std::mutex mutex_;  // Guards what follows.
  std::unique_ptr<ledger::Database> database_;
};

}  // namespace hearth::advisor
