// Names of receipts: "r-" and 26 characters of Crockford's base 32, as in ULID
// (https://github.com/ulid/spec): 48 bits of milliseconds, then 80 random bits.  Names
// sort by time and can't be guessed from one another.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hearth::ledger {

std::string make_receipt_id(std::int64_t at_unix_us);

// Whether `text` has the form of one.
bool is_receipt_id(std::string_view text);

}  // namespace hearth::ledger
