// What the verbs of `hearth kernel` share: the shelf, the way to an adviser, and how a kernel is described.
#pragma once

#include <memory>
#include <string>

#include "advisor/adviser.h"
#include "base/result.h"
#include "cli/config.h"
#include "compute/shelf.h"
#include "hub/privacy_gate.h"
#include "ledger/ledger.h"
#include "ledger/writer.h"
#include "net/http_client.h"

namespace hearth::cli {

// The shelf in the cache folder, sealed with the key in the data folder.
Result<std::unique_ptr<compute::KernelShelf>> open_kernel_shelf();

// An adviser with all that it borrows, behind the privacy policy.
struct AdviserDesk {
  std::unique_ptr<ledger::Ledger> ledger;
  std::unique_ptr<ledger::LedgerWriter> writer;
  std::unique_ptr<net::HttpClient> http;
  std::unique_ptr<hub::PrivacyGate> privacy;
  std::unique_ptr<advisor::Adviser> adviser;  // Null: none is configured.  Last: it goes first.
};
Result<AdviserDesk> open_adviser_desk(const Config& config);

Result<compute::Contract> load_contract(const std::string& file);

// "scale  1f2e3d4c5b6a: 11 cases ..., D1, 21.3 GB/s, 61 % of the roof".
std::string kernel_line(const compute::Kernel& kernel);
// The same for a program.
std::string kernel_json(const compute::Kernel& kernel);

}  // namespace hearth::cli
