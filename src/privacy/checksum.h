// Check digits of numbers that states and banks give out.  Each takes the digits and letters alone,
// letters in upper case, of the length that the number has, and says whether it can be one.
#pragma once

#include <string_view>

namespace hearth::privacy {

bool luhn(std::string_view digits);      // ISO/IEC 7812-1, annex B.
bool verhoeff(std::string_view digits);  // Aadhaar.
bool iban_mod97(std::string_view iban);  // ISO 13616, with its country code in front.

bool is_date_ymd(int year, int month, int day);  // Year of two or four digits.

bool is_us_ssn(std::string_view n);   // Never area 000, 666 or 9xx, group 00, serial 0000.
bool is_us_itin(std::string_view n);  // Area 9xx, and a group that is given out.
bool is_uk_nino(std::string_view n);
bool is_uk_nhs(std::string_view n);
bool is_de_tax_id(std::string_view n);  // ISO 7064 mod 11,10, and one digit twice or thrice.
bool is_fr_nir(std::string_view n);     // 97 minus the rest; 2A and 2B for Corsica.
bool is_it_fiscal_code(std::string_view n);
bool is_es_nif(std::string_view n);
bool is_es_nie(std::string_view n);
bool is_nl_bsn(std::string_view n);
bool is_be_national(std::string_view n);
bool is_in_aadhaar(std::string_view n);
bool is_in_pan(std::string_view n);
bool is_br_cpf(std::string_view n);
bool is_br_cnpj(std::string_view n);
bool is_pl_pesel(std::string_view n);
bool is_fi_identity(std::string_view n);
bool is_se_personal(std::string_view n);
bool is_no_birth(std::string_view n);
bool is_dk_cpr(std::string_view n);
bool is_ch_ahv(std::string_view n);
bool is_pt_nif(std::string_view n);
bool is_ca_sin(std::string_view n);
bool is_au_tfn(std::string_view n);
bool is_au_abn(std::string_view n);
bool is_za_id(std::string_view n);
bool is_cn_resident(std::string_view n);
bool is_kr_resident(std::string_view n);
bool is_sg_nric(std::string_view n);
bool is_tr_identity(std::string_view n);
bool is_mx_curp(std::string_view n);

}  // namespace hearth::privacy
