// An adviser that writes kernels, with all that it stands on.
#pragma once

#include <memory>

#include "advisor/adviser.h"
#include "advisor/consent.h"
#include "hub/privacy_gate.h"
#include "ledger/ledger.h"
#include "ledger/writer.h"
#include "net/http_client.h"

namespace hearth::hub {

// Members are destroyed in reverse order.
struct KernelAdviser {
  std::unique_ptr<ledger::Ledger> ledger;
  std::unique_ptr<ledger::LedgerWriter> writer;  // Of `ledger`.
  std::unique_ptr<net::HttpClient> http;
  std::unique_ptr<PrivacyGate> privacy;
  std::shared_ptr<advisor::ConsentDesk> consents;  // The hub's own, where one serves.
  std::unique_ptr<advisor::Adviser> adviser;       // Null: none is configured.
};

}  // namespace hearth::hub
