// Numbers of people and firms by which states know them, one row each, and numbers that only the words
// before them tell.
#include <array>

#include "privacy/checksum.h"
#include "privacy/chars.h"
#include "privacy/numbers.h"

namespace hearth::privacy {
namespace {

// What lets a number count that fits its row.
enum class Needs : std::uint8_t {
  kNothing,     // Its check digits are proof enough.
  kSeparators,  // They must stand where the row has '-', or one of the row's words before it.
  kWords,       // One of the row's words must stand before it.
};

struct Identity {
  std::string_view type;
  std::string_view form;  // '9' a digit, 'A' a letter, 'X' either, '-' where a separator may be.
  bool (*is_valid)(std::string_view number);  // Of the letters and digits alone.
  Needs needs;
  std::string_view words;
};
constexpr std::array kIdentities = {
    Identity{"US_SSN", "999-99-9999", is_us_ssn, Needs::kSeparators, "ssn|social security|social sec"},
    Identity{"US_ITIN", "999-99-9999", is_us_itin, Needs::kSeparators, "itin|taxpayer|tax id"},
    Identity{"UK_NINO", "AA-99-99-99-A", is_uk_nino, Needs::kNothing, ""},
    Identity{"UK_NHS", "999-999-9999", is_uk_nhs, Needs::kWords, "nhs"},
    Identity{"DE_TAX_ID", "99-999-999-999", is_de_tax_id, Needs::kSeparators, "steuer|idnr|tin|tax"},
    Identity{"FR_NIR", "9-99-99-9X-999-999-99", is_fr_nir, Needs::kNothing, ""},
    Identity{"IT_FISCAL_CODE", "AAA-AAA-XXAXX-AXXXA", is_it_fiscal_code, Needs::kNothing, ""},
    Identity{"ES_NIF", "99-999-999-A", is_es_nif, Needs::kNothing, ""},
    Identity{"ES_NIE", "A-9999999-A", is_es_nie, Needs::kNothing, ""},
    Identity{"NL_BSN", "9999-99-999", is_nl_bsn, Needs::kWords, "bsn|burgerservice|sofi"},
    Identity{"BE_NATIONAL_NUMBER", "99-99-99-999-99", is_be_national, Needs::kSeparators,
             "rijksregister|registre national|national number|insz|niss"},
    Identity{"IN_AADHAAR", "9999-9999-9999", is_in_aadhaar, Needs::kSeparators, "aadhaar|aadhar|uidai|uid"},
    Identity{"IN_PAN", "AAAAA9999A", is_in_pan, Needs::kNothing, ""},
    Identity{"BR_CPF", "999-999-999-99", is_br_cpf, Needs::kNothing, ""},
    Identity{"BR_CNPJ", "99-999-999-9999-99", is_br_cnpj, Needs::kNothing, ""},
    Identity{"PL_PESEL", "99999999999", is_pl_pesel, Needs::kNothing, ""},
    Identity{"FI_IDENTITY_CODE", "999999-999X", is_fi_identity, Needs::kSeparators, "henkilötunnus|hetu"},
    Identity{"FI_IDENTITY_CODE", "999999A999X", is_fi_identity, Needs::kNothing, ""},
    Identity{"SE_PERSONAL_NUMBER", "999999-9999", is_se_personal, Needs::kSeparators, "personnummer|samordning"},
    Identity{"SE_PERSONAL_NUMBER", "99999999-9999", is_se_personal, Needs::kSeparators, "personnummer"},
    Identity{"NO_BIRTH_NUMBER", "999999-99999", is_no_birth, Needs::kNothing, ""},
    Identity{"DK_CPR", "999999-9999", is_dk_cpr, Needs::kWords, "cpr|personnummer"},
    Identity{"CH_AHV", "999-9999-9999-99", is_ch_ahv, Needs::kNothing, ""},
    Identity{"PT_NIF", "999-999-999", is_pt_nif, Needs::kWords, "nif|contribuinte"},
    Identity{"CA_SIN", "999-999-999", is_ca_sin, Needs::kWords, "sin|social insurance|nas"},
    Identity{"AU_TFN", "999-999-999", is_au_tfn, Needs::kWords, "tfn|tax file"},
    Identity{"AU_ABN", "99-999-999-999", is_au_abn, Needs::kWords, "abn|business number"},
    Identity{"ZA_ID", "999999-9999-999", is_za_id, Needs::kNothing, ""},
    Identity{"CN_RESIDENT_ID", "999999-99999999-999X", is_cn_resident, Needs::kNothing, ""},
    Identity{"KR_RESIDENT_ID", "999999-9999999", is_kr_resident, Needs::kSeparators, "rrn|resident"},
    Identity{"SG_NRIC_FIN", "A9999999A", is_sg_nric, Needs::kNothing, ""},
    Identity{"TR_IDENTITY", "99999999999", is_tr_identity, Needs::kWords, "tc|kimlik|t.c."},
    Identity{"MX_CURP", "AAAA999999AAAAAAX9", is_mx_curp, Needs::kNothing, ""},
};

struct Match {
  std::size_t length = 0;  // 0: none.
  bool has_separators = true;  // At each place of the form, and nowhere else.
};

bool fits(char form, char c) {
  if (form == '9') return is_digit(c);
  return form == 'X' || is_alpha(c);
}

Match match_form(const NumberRun& run, std::string_view form) {
  Match match;
  std::size_t n = 0;
  bool may_separate = false;
  for (const char f : form) {
    if (f == '-') {
      may_separate = true;
      continue;
    }
    if (n == run.size || !fits(f, run.chars[n])) return {};
    const bool is_separated = n > 0 && run.gaps[n] != '\0';
    if (is_separated && !may_separate) return {};
    if (may_separate && !is_separated) match.has_separators = false;
    may_separate = false;
    ++n;
  }
  if (run.ends_after(n)) match.length = n;
  return match;
}

bool is_told(const Identity& identity, const Match& match, std::string_view text, std::size_t begin) {
  if (identity.needs == Needs::kNothing) return true;
  if (identity.needs == Needs::kSeparators && match.has_separators) return true;
  return has_word_before(text, begin, identity.words);
}

// Numbers without check digits: told by words, and by their length.
struct NamedNumber {
  std::string_view type, words;
  std::size_t length_min, length_max, digits_min;
  std::size_t reach;  // Bytes before the number in which a word counts.
};
constexpr std::array kNamedNumbers = {
    NamedNumber{"US_DRIVER_LICENSE", "driver|drivers|driving|license|licence|dl|führerschein", 5, 18, 4, 40},
    NamedNumber{"US_PASSPORT", "passport|reisepass|passeport|pasaporte", 6, 10, 5, 32},
    NamedNumber{"ZIP_CODE", "zip|postcode|post code|postal code|plz|code postal|cep", 3, 9, 2, 14},
    NamedNumber{"US_BANK_NUMBER", "routing|account number|account no|acct|kontonummer|iban", 6, 18, 6, 28},
    NamedNumber{"MEDICAL_RECORD", "mrn|medical record|patient id|patient number", 5, 14, 4, 28},
    NamedNumber{"TAX_ID", "ein|vat|tax id|tin|ust-id|ustid", 8, 14, 7, 24},
};

}  // namespace

std::optional<Span> find_national_id(std::string_view text, const NumberRun& run) {
  constexpr std::size_t kCharsMin = 9;
  if (run.size < kCharsMin) return std::nullopt;
  for (const Identity& identity : kIdentities) {
    if (!fits(identity.form[0], run.chars[0])) continue;
    const Match match = match_form(run, identity.form);
    if (match.length == 0 || !identity.is_valid(run.text(match.length))) continue;
    if (!is_told(identity, match, text, run.begins[0])) continue;
    return Span{run.begins[0], run.end(match.length), identity.type, "national id", Rank::kChecksum};
  }
  return std::nullopt;
}

std::optional<Span> find_named_number(std::string_view text, const NumberRun& run) {
  // The longest run of groups that hold a digit, apart by single separators.
  std::size_t length = 0, n_digits = 0;
  for (std::size_t n = 0; n < run.size;) {
    std::size_t group_end = n + 1;
    while (group_end < run.size && run.gaps[group_end] == '\0') ++group_end;
    const auto digits = std::ranges::count_if(run.text(group_end).substr(n), is_digit);
    if (digits == 0 || (n > 0 && run.gaps[n] == '.')) break;
    n_digits += static_cast<std::size_t>(digits);
    length = n = group_end;
  }
  if (length == 0 || !run.ends_after(length)) return std::nullopt;
  for (const NamedNumber& named : kNamedNumbers) {
    if (length < named.length_min || length > named.length_max || n_digits < named.digits_min) continue;
    if (!has_word_before(text, run.begins[0], named.words, named.reach)) continue;
    return Span{run.begins[0], run.end(length), named.type, "words before", Rank::kPattern};
  }
  return std::nullopt;
}

}  // namespace hearth::privacy
