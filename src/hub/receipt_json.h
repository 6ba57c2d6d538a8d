// Receipts as JSON text: how the ledger keeps them and `--json` prints them.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "hub/chat.h"
#include "ledger/ledger.h"

namespace hearth::hub {

// One object; the members' names are the struct's.
std::string receipt_to_json(const Receipt& receipt);

// kCorrupt for what is no receipt; members that are missing keep their defaults.
Result<Receipt> receipt_from_json(std::string_view json);

// The receipt as a ledger row.
ledger::ReceiptRow receipt_row(const Receipt& receipt);

}  // namespace hearth::hub
