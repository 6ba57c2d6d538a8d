// What goes to a person: colours only where a person looks, one place that prints errors.
//
// Much of it was written by others: models, servers, files.  At a terminal all that is printed here is text and commands
// nothing (without_commands); in a pipe it is what it is.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::cli {

// Whether standard output (1) or error (2) is a terminal and NO_COLOR is not set.
bool use_colour(int descriptor);

// `text` in a faint colour if standard error shows colours.
std::string faint(std::string_view text);

// "hearth: message", and a hint line where the code has one, on standard error.
void print_error(const Error& error);

// A faint line on standard error: what is being done.
void print_note(std::string_view text);

// A faint piece of a line on standard error.
void print_faint(std::string_view text);

// `text` with what would command a terminal or turn the order of its letters (controls but line ends and tabs, bytes that
// are no UTF-8) written as \x1b.
std::string without_commands(std::string_view text);

// Writes to standard output; false once nobody reads it any more.
bool print_out(std::string_view text);

// A table with aligned columns; the first row is the head.  A cell may hold any UTF-8.
std::string format_table(const std::vector<std::vector<std::string>>& rows);

// "1.2 GB", "640 KB": decimal, as disks are sold.
std::string format_bytes(std::uint64_t bytes);

// "$0.000123": six decimals, since budgets count in millionths.
std::string format_usd(std::int64_t usd_micro);

}  // namespace hearth::cli
