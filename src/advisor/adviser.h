// The adviser: a larger model elsewhere that is asked for advice when the local one is
// unsure, and only as far as the user's rules and money go.
//
// One question is one or more attempts.  Each attempt reserves its worst-case price and
// is committed to the ledger before its first byte leaves; afterwards it is settled from
// the provider's own usage, within what the bytes that really moved make plausible.
//
// There may be several advisers, in an order of preference.  One that fails, has no known price, does not
// fit the budget or has failed so often that it rests (circuit.h) is passed over for the next, which is asked
// from the beginning: what a broken answer said until then is dropped.  The last one is tried again, but only
// while nothing of an answer has arrived, only if the kind of failure may pass by itself, and only before the
// question's deadline.
//
// Whatever happens, the asker gets exactly one Advice, whose status and detail say what.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "advisor/consent.h"
#include "advisor/memory/advice_key.h"
#include "advisor/pricing.h"
#include "base/clock.h"
#include "base/result.h"
#include "ledger/ledger.h"
#include "ledger/writer.h"
#include "net/http_client.h"
#include "privacy/policy.h"

namespace hearth::advisor {

struct AdviserOptions {
  std::string provider = "openai";  // Its name in receipts and in the ledger.
  std::string wire;                 // As wire/wire.h names it; empty: by the host.
  std::string base_url;             // "https://HOST/v1"; no credentials, query or fragment.  Empty: the wire's home.
  std::string model;
  std::string key_env;           // Environment variable that holds the API key.
  std::string key_file;          // Or a file that does; nobody but its owner may read it.
  std::optional<Prices> prices;  // Unset: as price_list.h has them, else unknown, and nothing is asked.
  ledger::BudgetLimits budget;
  double threshold = 0.5;  // Asked when confidence is below this.
  std::uint32_t max_output_tokens = 1024;
  std::uint32_t attempts_max = 3;
  std::uint64_t brief_bytes_max = std::uint64_t{16} << 10;  // Of conversation and draft.
  std::uint64_t response_bytes_max = std::uint64_t{4} << 20;
  std::uint64_t advice_bytes_max = std::uint64_t{256} << 10;  // Of text; more is cut off.
  std::chrono::milliseconds deadline{60'000};                 // For all attempts together.
  net::HttpTimeouts timeouts;  // Of one attempt; never past the deadline.

  std::string full_name() const { return provider + "/" + model; }
};

struct BriefMessage {
  bool is_user = true;  // Else the local model's.
  std::string text;
};

// What to ask, before it is cut to a brief.
struct AdviceRequest {
  std::string request_id;                  // Of the receipt.
  std::vector<BriefMessage> conversation;  // Oldest first; ends with the user's question.
  std::string draft;                       // The local answer so far; may be empty.
  std::string instruction = {};            // What the model is told to do; empty: to advise on an answer.
  std::string rule;                        // What allowed the call, for the ledger.
  // All that the conversation and the draft were made of, also what the brief leaves out.
  privacy::Sources sources;
  std::string client;                      // Who asks, and alone may agree where consent is needed.
  std::string label;                       // What the policy made of it, for the ledger; set on its way.
  std::optional<ConsentNeed> consent;      // Set: nothing leaves unless somebody agrees.
  bool is_preview = false;                 // Show what would leave, and end as kDenied.
  // Set: advice may be remembered, and what was remembered may answer.  The class and the adviser are
  // filled in on its way.
  std::optional<AdviceKey> memory;
};

enum class AdviceStatus : std::uint8_t {
  kAnswered,
  kOverBudget,    // Nothing left this machine.
  kUnknownPrice,  // Nothing left this machine.
  kDenied,        // By the privacy policy, or by who was asked for consent: nothing left this machine.
  kFailed,
  kCancelled,
};

struct Advice {
  AdviceStatus status = AdviceStatus::kFailed;
  std::string text;                 // Set for kAnswered, never empty then; valid UTF-8.
  std::string detail;               // One sentence; for kAnswered, of what is odd about it, or empty.
  std::string adviser;              // That answered, or was asked last; empty: none was asked.
  std::uint32_t attempts = 0;       // That may have sent something.
  std::uint64_t bytes_out = 0;      // Bodies of all attempts that may have left.
  std::int64_t cost_usd_micro = 0;  // Charged, all attempts together.
  std::string remembered;           // The id of the remembered advice that this is; empty: it was asked for.
  bool is_unreachable = false;      // Of kFailed: nobody could be reached, and nothing left.
};

enum class AdviceId : std::uint64_t {};

// Called once per question, from a thread of the adviser's: do little, never block.
class AdviceSink {
 public:
  virtual ~AdviceSink() = default;
  virtual void on_advice(const Advice& advice) = 0;
  // A call waits for consent, or would leave if this were no preview.
  virtual void on_departure(const DeparturePtr& departure) { (void)departure; }
};

// Threading: all members from any thread, also from inside a sink.
class Adviser {
 public:
  // kInvalidArgument for options that can't work; kPermissionDenied for a key file that others may
  // read; kNotFound for a key that is not there.  Borrows `client`, `writer` and `consents`; without
  // these, what needs consent stays here.
  static Result<std::unique_ptr<Adviser>> create(AdviserOptions options, net::HttpClient& client,
                                                 ledger::LedgerWriter& writer,
                                                 const Clock& clock = Clock::system(),
                                                 ConsentDesk* consents = nullptr);
  // At least one, in order of preference.  The first one's threshold and deadline are those of all.
  static Result<std::unique_ptr<Adviser>> create(std::vector<AdviserOptions> advisers, net::HttpClient& client,
                                                 ledger::LedgerWriter& writer,
                                                 const Clock& clock = Clock::system(),
                                                 ConsentDesk* consents = nullptr);
  virtual ~Adviser() = default;  // Every sink gets its advice first.

  virtual const AdviserOptions& options() const = 0;  // Of the first.
  virtual AdviceId ask(AdviceRequest request, std::shared_ptr<AdviceSink> sink) = 0;
  virtual void cancel(AdviceId advice) = 0;  // No effect on one that has ended.
};

}  // namespace hearth::advisor
