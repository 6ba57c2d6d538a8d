// The routes that read the ledger and explain the policy, for the page and for programs.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "api/request_values.h"
#include "ledger/ledger.h"
#include "net/http_message.h"

namespace hearth::server {

// What there is to read; where a part is unset its routes answer 404.
struct Books {
  const ledger::Ledger* ledger = nullptr;  // Borrowed; outlives the server.
  ledger::BudgetLimits budget;
  std::function<api::Parsed<std::string>(std::string_view body)> explain_policy;
};

// Whose receipts, and what left for them, may be seen; unset: everybody's (Access::sees_only).  To all others
// they are not there.
using SeesOnly = std::optional<std::string>;

// They wait for the disk: not for the I/O thread.
net::ServerResponse answer_receipt(const Books& books, const std::string& id, const SeesOnly& client);
net::ServerResponse answer_receipts(const Books& books, const net::ServerRequest& request, const SeesOnly& client);
net::ServerResponse answer_ledger(const Books& books, const net::ServerRequest& request, const SeesOnly& client);
net::ServerResponse answer_verify(const Books& books);
net::ServerResponse answer_policy(const Books& books, const net::ServerRequest& request);

}  // namespace hearth::server
