// Numbers that name a person or an account: payment cards, IBANs, national ids, phone numbers, dates
// and ages.  The tables (issuers, countries, ids) are numbers_*.cpp.
#pragma once

#include <optional>
#include <string_view>

#include "privacy/number_run.h"
#include "privacy/span.h"

namespace hearth::privacy {

// What begins at the start of a run: nullopt for nothing.  `text` is the whole, for words around it.
using NumberFinder = std::optional<Span> (*)(std::string_view text, const NumberRun& run);

// A card by issuer, length and Luhn digit; any 12 to 19 digits with a Luhn digit behind a word such
// as "card".  A letter may stand directly before or after it.
std::optional<Span> find_card(std::string_view text, const NumberRun& run);
std::optional<Span> find_iban(std::string_view text, const NumberRun& run);
std::optional<Span> find_national_id(std::string_view text, const NumberRun& run);
// Numbers that only the words before them tell: driver's licences, passports, accounts.
std::optional<Span> find_named_number(std::string_view text, const NumberRun& run);

// These read on from `at`, a digit (a phone also '+' or '(') with no letter or digit before it.
std::optional<Span> find_phone(std::string_view text, std::size_t at);
std::optional<Span> find_date(std::string_view text, std::size_t at);
std::optional<Span> find_age(std::string_view text, std::size_t at);

// From a letter: "March 5, 2024", "5" having been found by find_date; "Monday".
std::optional<Span> find_worded_date(std::string_view text, std::size_t at);

}  // namespace hearth::privacy
