// Asks other servers: one request is one or more calls, as long as nothing of an answer has come.
//
// A call to a server that counts as egress goes the way that the adviser's go: its worst price is
// reserved and its exact bytes are in the ledger, durably, before the first of them leaves, and it is
// settled from the server's own usage within what the bytes make plausible.  A call to a server of
// this machine leaves nothing and costs nothing; nothing is recorded of it but the receipt.
//
// Whatever happens, the asker gets exactly one on_end, as its last call.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <unordered_map>
#include <variant>
#include <vector>

#include "advisor/consent.h"
#include "advisor/recorded_call.h"
#include "base/clock.h"
#include "base/mailbox.h"
#include "base/result.h"
#include "hub/chat.h"
#include "hub/upstream/carried_state.h"
#include "hub/upstream/chat_body.h"
#include "hub/upstream/upstream_reader.h"
#include "hub/upstream/upstream_directory.h"
#include "ledger/writer.h"

namespace hearth::hub {

struct UpstreamAsk {
  std::string receipt_id;
  UpstreamTarget target;
  ChatRequest request;
  std::string rule;  // What allowed it, and its label, for the ledger.
  std::string label;  // Its class, by which rule and what was replaced.
  std::optional<advisor::ConsentNeed> consent;  // Set: nothing leaves unless somebody agrees.
  bool is_preview = false;                      // Show what would leave, and end.
};

struct UpstreamEnd {
  std::optional<Error> error;                // Unset: the answer is whole.
  std::vector<std::string> finish_reasons;   // Of each choice, in the server's words.
  Usage usage;                               // As the server says, within what is possible.
  std::string left_out;                      // ChatBody::left_out.
  std::string odd;                           // What is odd about the answer, as a sentence; or empty.
  bool is_preview = false;                   // It was: nothing has left.
  std::uint64_t bytes_out = 0;               // That left this machine.
  std::int64_t cost_usd_micro = 0;
};

enum class UpstreamAskId : std::uint64_t {};

// Called one at a time, on the HTTP client's thread or the desk's: do little, never block.
class UpstreamSink {
 public:
  virtual ~UpstreamSink() = default;
  virtual void on_piece(UpstreamPiece piece) = 0;
  virtual void on_status(const std::string& text) = 0;
  // A call waits for consent, or would leave if this were no preview.
  virtual void on_departure(const advisor::DeparturePtr& departure) { (void)departure; }
  virtual void on_end(UpstreamEnd end) = 0;
};

// Threading: all members from any thread, also from inside a sink.
class UpstreamDesk {
 public:
  // Borrows all of them; without `llama` no target may be a child's, without `consents` what needs
  // consent stays here.
  UpstreamDesk(UpstreamDirectory& directory, net::HttpClient& client, ledger::LedgerWriter& writer,
               LlamaServer* llama = nullptr, const Clock& clock = Clock::system(),
               advisor::ConsentDesk* consents = nullptr);
  ~UpstreamDesk();  // Cancels what runs; every sink gets its on_end first.
  UpstreamDesk(const UpstreamDesk&) = delete;
  UpstreamDesk& operator=(const UpstreamDesk&) = delete;

  UpstreamAskId ask(UpstreamAsk ask, std::shared_ptr<UpstreamSink> sink);
  void cancel(UpstreamAskId ask);  // Its connection is closed; no effect on one that has ended.

 private:
  class CallSink;

  // How a call ended, as the HTTP thread saw it.
  struct CallResult {
    net::HttpEnd end;
    net::HttpResponseHead head;
    advisor::TokenUse use;
    advisor::ProviderError error;
    std::vector<std::string> finish_reasons;
    std::vector<std::pair<std::string, std::string>> carried;
    std::uint64_t content_bytes = 0;
    bool has_content = false;
    bool is_complete = false;
    bool is_cut = false;
    bool is_garbled = false;
    Sha256 response_sha256{};
  };
  struct Judged {
    advisor::CallVerdict verdict;
    Code code = Code::kUnavailable;   // Of the error, if there is a problem.
    bool is_servers_failure = false;  // For the circuit breaker.
  };
  static Judged judge(const CallResult& result);
  static std::optional<Judged> judge_status(const CallResult& result);

  enum class Step : std::uint8_t { kLeasing, kConsenting, kRecording, kCalling, kExplaining, kSettling, kWaiting };

  // One request on its way.  The desk's thread's.
  struct Question {
    UpstreamAsk ask;
    std::shared_ptr<UpstreamSink> sink;
    ChatBody body;
    advisor::Traffic traffic;
    Step step = Step::kRecording;
    std::uint32_t n_tries = 0;
    bool is_counted = false;  // The directory waits to hear how it ends.
    std::uint64_t ticket = 0;  // While kLeasing.
    std::optional<LlamaLease> lease;
    UpstreamDirectory::Server child;  // As the lease has it.
    std::string consent;    // While kConsenting: what waits for an answer.
    std::string consented;  // How consent was given, for the ledger.
    std::optional<ledger::CallId> call;
    std::optional<net::HttpCallId> http_call;
    std::chrono::steady_clock::time_point retry_at;
    std::optional<std::chrono::milliseconds> retry_in;
    bool is_cancelled = false;
    UpstreamEnd end;
  };

  struct Asked {
    UpstreamAskId id;
    UpstreamAsk ask;
    std::shared_ptr<UpstreamSink> sink;
  };
  struct Leased {
    UpstreamAskId id;
    Result<LlamaLease> lease;
  };
  struct Explained {
    UpstreamAskId id;
    std::string words;
  };
  struct Consented {
    UpstreamAskId id;
    advisor::ConsentEnd end;
  };
  struct Recorded {
    UpstreamAskId id;
    Result<ledger::CallId> call;
  };
  struct CallEnded {
    UpstreamAskId id;
    CallResult result;
  };
  struct Settled {
    UpstreamAskId id;
  };
  struct Cancelled {
    UpstreamAskId id;
  };
  struct Stop {};
  using DeskMessage = std::variant<Asked, Leased, Consented, Recorded, CallEnded, Explained, Settled, Cancelled, Stop>;

  void work();
  void on(Asked& message);
  void on(Leased& message);
  void on(Explained& message);
  void on(Consented& message);
  void on(Recorded& message);
  void on(CallEnded& message);
  void on(Settled& message);
  void on(Cancelled& message);
  void on(Stop& message);

  Result<> prepare(Question& question);
  std::string url_of(const Question& question) const;
  const UpstreamDirectory::Server& server_of(const Question& question) const;
  void lease(UpstreamAskId id, Question& question);
  void note_failure(Question& question, const CallResult& result, const Judged& judged);
  void begin(UpstreamAskId id, Question& question);
  ledger::CallIntent intent_of(const Question& question) const;
  advisor::DeparturePtr departure_of(const Question& question) const;
  void seek_consent(UpstreamAskId id, Question& question);
  void record(UpstreamAskId id, Question& question);
  void call(UpstreamAskId id, Question& question);
  void settle(UpstreamAskId id, Question& question, ledger::Settlement settlement);
  void go_on(UpstreamAskId id, Question& question);
  void count(Question& question, const Judged& judged);
  void cancel_question(UpstreamAskId id, Question& question);
  void end(UpstreamAskId id);
  void retry_due();
  Question* find(UpstreamAskId id);

  UpstreamDirectory& directory_;
  net::HttpClient& client_;
  ledger::LedgerWriter& writer_;
  LlamaServer* const llama_;
  const Clock& clock_;
  advisor::ConsentDesk* const consents_;
  std::atomic<std::uint64_t> last_id_ = 0;
  Mailbox<DeskMessage> mailbox_;

  // The thread's own.
  std::unordered_map<UpstreamAskId, Question> questions_;
  CarriedStates carried_;
  std::minstd_rand random_{std::random_device{}()};
  bool is_stopping_ = false;

  std::thread thread_;  // Last: it uses all of the above.
};

}  // namespace hearth::hub
