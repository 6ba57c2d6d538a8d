// The ledger's tables, and the steps from each version of them to the next.
#pragma once

#include "base/result.h"
#include "ledger/sqlite.h"

namespace hearth::ledger {

// Checks that the file is a ledger of a version that we know, and for Mode::kReadWrite creates or
// migrates its tables and sets the connection's durability.
Result<> prepare_schema(Database& database, Database::Mode mode);

}  // namespace hearth::ledger
