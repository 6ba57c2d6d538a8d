// What the ledger is told of a call: the exact bytes before it leaves, and what came of it.  Every
// call that leaves this machine goes through these, whoever makes it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "advisor/pricing.h"
#include "advisor/provider_json.h"
#include "base/digest.h"
#include "ledger/ledger.h"
#include "net/http_client.h"

namespace hearth::advisor {

// As lines; a secret's value is left out.
std::string recorded_headers(std::span<const net::HttpHeader> headers);

// How a call ended, in what the ledger and a person are told of it.
struct CallVerdict {
  std::string outcome;     // For the ledger.
  std::string problem;     // For a person, as what the server did; empty if there is an answer.
  bool is_charged = true;  // Whether money may have been spent.
};

// Of a call that failed below HTTP, or was cut off; nullopt for a whole response.
std::optional<CallVerdict> judge_transport(const net::HttpEnd& end);

// "MESSAGE (CODE)", never empty.
std::string words_of(const ProviderError& error);

struct CallAccount {
  Prices prices;
  Traffic traffic;
  TokenUse use;
  int http_status = 0;
  net::HttpEnd end;
  Sha256 response_sha256{};
};

ledger::Settlement settlement_of(const CallAccount& account, const CallVerdict& verdict);

}  // namespace hearth::advisor
