// Payment cards by ranges of their first digits (ISO/IEC 7812 issuers), and IBANs by country.
#include <array>

#include "privacy/checksum.h"
#include "privacy/chars.h"
#include "privacy/numbers.h"

namespace hearth::privacy {
namespace {

// Bit n: a number may have n digits.
constexpr std::uint32_t lengths(int first, int last) {
  std::uint32_t bits = 0;
  for (int n = first; n <= last; ++n) bits |= 1U << n;
  return bits;
}

struct Issuer {
  int digits;       // How many first digits the range compares.
  int first, last;  // Inclusive.
  std::uint32_t lengths;
};
constexpr std::array kIssuers = {
    Issuer{1, 4, 4, lengths(13, 13) | lengths(16, 16) | lengths(18, 19)},  // Visa, Switch.
    Issuer{2, 51, 55, lengths(16, 16)},                                    // Mastercard.
    Issuer{4, 2221, 2720, lengths(16, 16)},
    Issuer{2, 34, 34, lengths(15, 15)},  // American Express.
    Issuer{2, 37, 37, lengths(15, 15)},
    Issuer{3, 300, 305, lengths(14, 19)},  // Diners Club.
    Issuer{3, 309, 309, lengths(14, 19)},
    Issuer{2, 36, 36, lengths(14, 19)},
    Issuer{2, 38, 39, lengths(14, 19)},
    Issuer{4, 3528, 3589, lengths(16, 19)},  // JCB.
    Issuer{4, 1800, 1800, lengths(15, 15)},
    Issuer{4, 2131, 2131, lengths(15, 15)},
    Issuer{4, 2200, 2205, lengths(16, 19)},   // Mir.
    Issuer{2, 60, 69, lengths(12, 19)},       // Discover, UnionPay, Maestro, RuPay, Troy, Verve.
    Issuer{2, 50, 50, lengths(12, 19)},       // Maestro, Verve, Elo.
    Issuer{2, 56, 59, lengths(12, 19)},       // Maestro.
    Issuer{2, 81, 82, lengths(16, 19)},       // UnionPay, RuPay.
    Issuer{3, 353, 356, lengths(16, 16)},     // RuPay.
    Issuer{4, 9792, 9792, lengths(16, 16)},   // Troy.
    Issuer{4, 8600, 8600, lengths(16, 16)},   // UzCard.
    Issuer{4, 9860, 9860, lengths(16, 16)},   // Humo.
    Issuer{1, 1, 1, lengths(15, 15)},         // UATP.
};
constexpr std::string_view kCardWords =
    "card|credit|debit|visa|mastercard|amex|maestro|diners|discover|jcb|cc|pan|karte|kreditkarte|carte|tarjeta|carta";

bool is_issued(std::string_view digits) {
  for (const Issuer& issuer : kIssuers) {
    const int prefix = read_number(digits, 0, issuer.digits).value;
    const bool fits = prefix >= issuer.first && prefix <= issuer.last;
    if (fits && (issuer.lengths >> digits.size() & 1) != 0) return true;
  }
  return false;
}

// Groups as cards have them: the first of four digits or more, or all but the last of one size.
bool is_grouped_as_card(const NumberRun& run, std::size_t length) {
  std::size_t group = 1, first = 0, n_groups = 0;
  bool is_even = true;
  for (std::size_t i = 1; i < length; ++i) {
    if (run.gaps[i] == '\0') {
      ++group;
      continue;
    }
    if (n_groups++ == 0) {
      first = group;
    } else if (group != first) {
      is_even = false;
    }
    group = 1;
  }
  return n_groups == 0 || first >= 4 || (is_even && group <= first);
}

struct IbanCountry {
  std::string_view code;
  std::size_t length;
};
// The IBAN registry, and countries that use the form without being in it.
constexpr std::array kIbanCountries = {
    IbanCountry{"AD", 24}, IbanCountry{"AE", 23}, IbanCountry{"AL", 28}, IbanCountry{"AO", 25},
    IbanCountry{"AT", 20}, IbanCountry{"AZ", 28}, IbanCountry{"BA", 20}, IbanCountry{"BE", 16},
    IbanCountry{"BF", 28}, IbanCountry{"BG", 22}, IbanCountry{"BH", 22}, IbanCountry{"BI", 27},
    IbanCountry{"BJ", 28}, IbanCountry{"BR", 29}, IbanCountry{"BY", 28}, IbanCountry{"CF", 27},
    IbanCountry{"CG", 27}, IbanCountry{"CH", 21}, IbanCountry{"CI", 28}, IbanCountry{"CM", 27},
    IbanCountry{"CR", 22}, IbanCountry{"CV", 25}, IbanCountry{"CY", 28}, IbanCountry{"CZ", 24},
    IbanCountry{"DE", 22}, IbanCountry{"DJ", 27}, IbanCountry{"DK", 18}, IbanCountry{"DO", 28},
    IbanCountry{"DZ", 26}, IbanCountry{"EE", 20}, IbanCountry{"EG", 29}, IbanCountry{"ES", 24},
    IbanCountry{"FI", 18}, IbanCountry{"FK", 18}, IbanCountry{"FO", 18}, IbanCountry{"FR", 27},
    IbanCountry{"GA", 27}, IbanCountry{"GB", 22}, IbanCountry{"GE", 22}, IbanCountry{"GI", 23},
    IbanCountry{"GL", 18}, IbanCountry{"GQ", 27}, IbanCountry{"GR", 27}, IbanCountry{"GT", 28},
    IbanCountry{"GW", 25}, IbanCountry{"HN", 28}, IbanCountry{"HR", 21}, IbanCountry{"HU", 28},
    IbanCountry{"IE", 22}, IbanCountry{"IL", 23}, IbanCountry{"IQ", 23}, IbanCountry{"IR", 26},
    IbanCountry{"IS", 26}, IbanCountry{"IT", 27}, IbanCountry{"JO", 30}, IbanCountry{"KM", 27},
    IbanCountry{"KW", 30}, IbanCountry{"KZ", 20}, IbanCountry{"LB", 28}, IbanCountry{"LC", 32},
    IbanCountry{"LI", 21}, IbanCountry{"LT", 20}, IbanCountry{"LU", 20}, IbanCountry{"LV", 21},
    IbanCountry{"LY", 25}, IbanCountry{"MA", 28}, IbanCountry{"MC", 27}, IbanCountry{"MD", 24},
    IbanCountry{"ME", 22}, IbanCountry{"MG", 27}, IbanCountry{"MK", 19}, IbanCountry{"ML", 28},
    IbanCountry{"MN", 20}, IbanCountry{"MR", 27}, IbanCountry{"MT", 31}, IbanCountry{"MU", 30},
    IbanCountry{"MZ", 25}, IbanCountry{"NE", 28}, IbanCountry{"NI", 28}, IbanCountry{"NL", 18},
    IbanCountry{"NO", 15}, IbanCountry{"OM", 23}, IbanCountry{"PK", 24}, IbanCountry{"PL", 28},
    IbanCountry{"PS", 29}, IbanCountry{"PT", 25}, IbanCountry{"QA", 29}, IbanCountry{"RO", 24},
    IbanCountry{"RS", 22}, IbanCountry{"RU", 33}, IbanCountry{"SA", 24}, IbanCountry{"SC", 31},
    IbanCountry{"SD", 18}, IbanCountry{"SE", 24}, IbanCountry{"SI", 19}, IbanCountry{"SK", 24},
    IbanCountry{"SM", 27}, IbanCountry{"SN", 28}, IbanCountry{"SO", 23}, IbanCountry{"ST", 25},
    IbanCountry{"SV", 28}, IbanCountry{"TD", 27}, IbanCountry{"TG", 28}, IbanCountry{"TL", 23},
    IbanCountry{"TN", 24}, IbanCountry{"TR", 26}, IbanCountry{"UA", 29}, IbanCountry{"VA", 22},
    IbanCountry{"VG", 24}, IbanCountry{"XK", 20}, IbanCountry{"YE", 30},
};

}  // namespace

std::optional<Span> find_card(std::string_view text, const NumberRun& run) {
  constexpr std::size_t kDigitsMin = 12, kDigitsMax = 19;
  const std::size_t begin = run.begins[0];
  for (std::size_t length = std::min(kDigitsMax, run.n_digits); length >= kDigitsMin; --length) {
    const bool is_whole = length == run.n_digits || run.gaps[length] != '\0';
    if (!is_whole || !is_grouped_as_card(run, length) || !luhn(run.text(length))) continue;
    const bool is_known = is_issued(run.text(length));
    if (!is_known && !has_word_before(text, begin, kCardWords)) continue;
    return Span{begin, run.end(length), "CREDIT_CARD", "luhn", Rank::kChecksum};
  }
  return std::nullopt;
}

std::optional<Span> find_iban(std::string_view, const NumberRun& run) {
  constexpr std::size_t kLengthMin = 15;
  const bool has_head = run.size >= kLengthMin && is_alpha(run.chars[0]) && is_alpha(run.chars[1]) &&
                        is_digit(run.chars[2]) && is_digit(run.chars[3]);
  if (!has_head) return std::nullopt;
  for (const IbanCountry& country : kIbanCountries) {
    if (run.text(2) != country.code) continue;
    const bool fits = run.size >= country.length && iban_mod97(run.text(country.length));
    if (!fits) return std::nullopt;
    return Span{run.begins[0], run.end(country.length), "IBAN_CODE", "mod97", Rank::kChecksum};
  }
  return std::nullopt;
}

}  // namespace hearth::privacy
