// Consent: what the policy lets leave only where somebody agrees waits here for that.
//
// Whoever is about to make such a call shows its exact bytes and is told, once, how that ended.  The one who
// may answer is the one who asked the hub in the first place, under the same name (a key's, or an address);
// to all others the question is not there.  No answer in time is a no, as are a full desk and the end of the
// program: everything fails closed.
//
// An answer may be remembered for the rule that asked for it: for this client, provider, class and rule, as
// long as the policy's text stays what it is.  Remembered answers are lines of a file, the latest of which
// counts; it is read again when it changes.
//
// Threading: all members from any thread, also from inside a callback.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace hearth::advisor {

// Why a call needs consent, and whose.
struct ConsentNeed {
  std::string client;
  std::string gives;  // The class's name,
  std::string rule;   // and the rule that gave it.
  std::uint64_t policy = 0;  // privacy::Policy::identity.
};

// A call that is ready to leave: what is shown to somebody who may stop it.
struct Departure {
  std::string consent;  // What an answer names; empty: a preview, which never leaves.
  std::string request_id;
  std::string provider, model, url, headers;
  std::string body;   // The exact bytes.
  std::string label;  // Its class, by which rule, and what was replaced.
  std::int64_t worst_usd_micro = 0;
  std::int64_t expires_unix_us = 0;  // Of the consent: then the answer is no.
};
using DeparturePtr = std::shared_ptr<const Departure>;

struct ConsentEnd {
  bool is_allowed = false;
  std::string words;  // For the ledger and a person: "allowed by 127.0.0.1", "nobody agreed within 120 s".
};

struct ConsentOptions {
  std::chrono::milliseconds wait{120'000};
  std::filesystem::path remembered;  // File of remembered answers; empty: none outlives the program.
};

inline constexpr std::size_t kConsentsMax = 256;  // That wait; more are refused at once.

// A remembered answer.
struct RememberedConsent {
  std::int64_t at_unix_us = 0;
  std::string client, provider, gives, rule;
  std::uint64_t policy = 0;
  bool is_allowed = false;
};
// Of the file, the latest of each kind, oldest first; none where there is no file.
std::vector<RememberedConsent> read_remembered_consents(const std::filesystem::path& file);

class ConsentDesk {
 public:
  explicit ConsentDesk(ConsentOptions options, const Clock& clock = Clock::system());
  ~ConsentDesk();  // Whoever waits is refused.
  ConsentDesk(const ConsentDesk&) = delete;
  ConsentDesk& operator=(const ConsentDesk&) = delete;

  using OnPending = std::function<void(const DeparturePtr& departure)>;
  using Done = std::function<void(ConsentEnd end)>;
  // Calls `done` exactly once: at once where the answer is remembered, and then without `on_pending`.
  // Returns the consent's id, empty where it has ended.
  std::string ask(ConsentNeed need, Departure departure, const OnPending& on_pending, Done done);
  void withdraw(const std::string& id);  // Nobody needs it any more; no effect on one that has ended.

  // Of this client, oldest first.
  std::vector<DeparturePtr> pending(std::string_view client) const;
  // kNotFound: there is none of this client's.
  Result<> answer(std::string_view id, std::string_view client, bool is_allowed, bool is_remembered);

 private:
  struct Waiting {
    ConsentNeed need;
    DeparturePtr departure;
    Done done;
    std::chrono::steady_clock::time_point until;
    std::uint64_t number = 0;
  };

  void watch();
  std::optional<ConsentEnd> end_at_once(const ConsentNeed& need, const std::string& provider);
  void load_if_changed();
  const RememberedConsent* find_remembered(const ConsentNeed& need, const std::string& provider);
  void remember(const Waiting& waiting, bool is_allowed);

  const ConsentOptions options_;
  const Clock& clock_;
  mutable std::mutex mutex_;  // Guards what follows.
  std::condition_variable changed_;
  std::map<std::string, Waiting, std::less<>> waiting_;
  std::vector<RememberedConsent> remembered_;
  std::filesystem::file_time_type loaded_at_{};
  std::uint64_t last_number_ = 0;
  bool is_stopping_ = false;
  std::thread thread_;  // Last: refuses what nobody answers.
};

}  // namespace hearth::advisor
