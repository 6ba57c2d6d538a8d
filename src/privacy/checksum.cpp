#include "privacy/checksum.h"

#include <array>
#include <cstddef>

#include "privacy/chars.h"

namespace hearth::privacy {
namespace {

int digit(char c) { return c - '0'; }

int number(std::string_view n, std::size_t at, std::size_t length) {
  int value = 0;
  for (const char c : n.substr(at, length)) value = value * 10 + digit(c);
  return value;
}

// The sum of the first digits, each times its weight.
template <std::size_t N>
int weighted(std::string_view n, const std::array<int, N>& weights) {
  int sum = 0;
  for (std::size_t i = 0; i < N; ++i) sum += digit(n[i]) * weights[i];
  return sum;
}

bool all_equal(std::string_view n) { return n.find_first_not_of(n[0]) == n.npos; }

// The rest of a decimal number of any length.
int rest_of(std::string_view digits, int divisor) {
  int rest = 0;
  for (const char c : digits) rest = (rest * 10 + digit(c)) % divisor;
  return rest;
}

// Check digit of a CPF or CNPJ: the rest by 11, where 10 and 11 are 0.
int brazilian_digit(std::string_view n, std::size_t length, int first_weight, int last_weight) {
  int sum = 0, weight = first_weight;
  for (std::size_t i = 0; i < length; ++i) {
    sum += digit(n[i]) * weight;
    weight = weight == 2 ? last_weight : weight - 1;
  }
  return sum % 11 < 2 ? 0 : 11 - sum % 11;
}

constexpr std::string_view kFinnishLetters = "0123456789ABCDEFHJKLMNPRSTUVWXY";
constexpr std::string_view kSpanishLetters = "TRWAGMYFPDXBNJZSQVHLCKE";

}  // namespace

bool luhn(std::string_view digits) {
  int sum = 0;
  bool is_doubled = false;
  for (std::size_t i = digits.size(); i-- > 0; is_doubled = !is_doubled) {
    const int value = digit(digits[i]) * (is_doubled ? 2 : 1);
    sum += value > 9 ? value - 9 : value;
  }
  return sum % 10 == 0;
}

bool verhoeff(std::string_view digits) {
  // Multiplication in the dihedral group of order ten, and the permutation by position.
  static constexpr std::array<std::string_view, 10> kProduct = {
      "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
      "5987604321", "6598710432", "7659821043", "8765932104", "9876543210"};
  static constexpr std::array<std::string_view, 8> kPermutation = {
      "0123456789", "1576283094", "5803796142", "8916043527",
      "9453126870", "4286573901", "2793806415", "7046913258"};
  int check = 0;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const char permuted = kPermutation[i % 8][static_cast<std::size_t>(
        digit(digits[digits.size() - 1 - i]))];
    check = digit(kProduct[static_cast<std::size_t>(check)][static_cast<std::size_t>(digit(permuted))]);
  }
  return check == 0;
}

bool iban_mod97(std::string_view iban) {
  int rest = 0;
  for (std::size_t i = 0; i < iban.size(); ++i) {
    const char c = iban[(i + 4) % iban.size()];
    rest = is_digit(c) ? (rest * 10 + digit(c)) % 97 : (rest * 100 + c - 'A' + 10) % 97;
  }
  return rest == 1;
}

bool is_date_ymd(int year, int month, int day) {
  static constexpr std::array<int, 13> kDays = {0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return year >= 0 && month >= 1 && month <= 12 && day >= 1 &&
         day <= kDays[static_cast<std::size_t>(month)];
}

bool is_us_ssn(std::string_view n) {
  const int area = number(n, 0, 3);
  return area != 0 && area != 666 && area < 900 && number(n, 3, 2) != 0 && number(n, 5, 4) != 0;
}

bool is_us_itin(std::string_view n) {
  const int group = number(n, 3, 2);
  return n[0] == '9' && group >= 50 && group != 66 && group != 67 && group != 68 && group != 69 &&
         group != 89 && group != 93;
}

bool is_uk_nino(std::string_view n) {
  constexpr std::string_view kNever = "DFIQUV", kPairs = "BG GB KN NK NT TN ZZ";
  return kNever.find(n[0]) == n.npos && kNever.find(n[1]) == n.npos && n[1] != 'O' &&
         kPairs.find(n.substr(0, 2)) == n.npos && n[8] >= 'A' && n[8] <= 'D';
}

bool is_uk_nhs(std::string_view n) {
  const int check = 11 - weighted(n, std::array{10, 9, 8, 7, 6, 5, 4, 3, 2}) % 11;
  return !all_equal(n) && check != 10 && check % 11 == digit(n[9]);
}

bool is_de_tax_id(std::string_view n) {
  if (n[0] == '0') return false;
  std::array<int, 10> counts{};
  int product = 10;
  for (std::size_t i = 0; i < 10; ++i) {
    ++counts[static_cast<std::size_t>(digit(n[i]))];
    const int sum = (digit(n[i]) + product) % 10;
    product = (sum == 0 ? 10 : sum) * 2 % 11;
  }
  const bool repeats_one = std::ranges::count_if(counts, [](int k) { return k > 1; }) == 1 &&
                           *std::ranges::max_element(counts) <= 3;
  return repeats_one && (11 - product) % 10 == digit(n[10]);
}

bool is_fr_nir(std::string_view n) {
  if (n[0] != '1' && n[0] != '2') return false;
  std::string digits(n.substr(0, 13));
  int less = 0;
  if (digits[6] == 'A' || digits[6] == 'B') {
    less = digits[6] == 'A' ? 1'000'000 : 2'000'000;
    digits[6] = '0';
  }
  if (!std::ranges::all_of(digits, is_digit)) return false;
  const int rest = ((rest_of(digits, 97) - less) % 97 + 97) % 97;
  return 97 - rest == number(n, 13, 2);
}

bool is_it_fiscal_code(std::string_view n) {
  // What a character counts in an odd place; in an even one, its number.
  static constexpr std::array<int, 26> kOdd = {1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18,
                                               20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23};
  int sum = 0;
  for (std::size_t i = 0; i < 15; ++i) {
    const int value = is_digit(n[i]) ? digit(n[i]) : n[i] - 'A';
    sum += i % 2 == 0 ? kOdd[static_cast<std::size_t>(value)] : value;
  }
  constexpr std::string_view kMonths = "ABCDEHLMPRST";
  return kMonths.find(n[8]) != n.npos && 'A' + sum % 26 == n[15];
}

bool is_es_nif(std::string_view n) {
  return kSpanishLetters[static_cast<std::size_t>(number(n, 0, 8) % 23)] == n[8];
}

bool is_es_nie(std::string_view n) {
  if (n[0] < 'X' || n[0] > 'Z') return false;
  const int value = (n[0] - 'X') * 10'000'000 + number(n, 1, 7);
  return kSpanishLetters[static_cast<std::size_t>(value % 23)] == n[8];
}

bool is_nl_bsn(std::string_view n) {
  return !all_equal(n) && (weighted(n, std::array{9, 8, 7, 6, 5, 4, 3, 2}) - digit(n[8])) % 11 == 0;
}

bool is_be_national(std::string_view n) {
  const int first = number(n, 0, 9), check = number(n, 9, 2);
  const bool is_date = number(n, 2, 2) % 20 <= 12 && number(n, 4, 2) <= 31;
  const auto after_2000 = static_cast<int>((2'000'000'000LL + first) % 97);
  return is_date && (97 - first % 97 == check || 97 - after_2000 == check);
}

bool is_in_aadhaar(std::string_view n) { return n[0] >= '2' && verhoeff(n); }

bool is_in_pan(std::string_view n) {
  return std::string_view("PCHABGJLFT").find(n[3]) != n.npos;
}

bool is_br_cpf(std::string_view n) {
  return !all_equal(n) && brazilian_digit(n, 9, 10, 9) == digit(n[9]) &&
         brazilian_digit(n, 10, 11, 9) == digit(n[10]);
}

bool is_br_cnpj(std::string_view n) {
  return !all_equal(n) && brazilian_digit(n, 12, 5, 9) == digit(n[12]) &&
         brazilian_digit(n, 13, 6, 9) == digit(n[13]);
}

bool is_pl_pesel(std::string_view n) {
  const int sum = weighted(n, std::array{1, 3, 7, 9, 1, 3, 7, 9, 1, 3});
  return is_date_ymd(number(n, 0, 2), number(n, 2, 2) % 20, number(n, 4, 2)) &&
         (10 - sum % 10) % 10 == digit(n[10]);
}

bool is_fi_identity(std::string_view n) {
  // DDMMYY, perhaps the century's letter, three digits, a check character.
  const std::size_t serial = n.size() == 11 ? 7 : 6;
  const int value = number(n, 0, 6) * 1000 + number(n, serial, 3);
  return is_date_ymd(number(n, 4, 2), number(n, 2, 2), number(n, 0, 2)) &&
         kFinnishLetters[static_cast<std::size_t>(value % 31)] == n[serial + 3];
}

bool is_se_personal(std::string_view n) {
  const std::string_view ten = n.substr(n.size() - 10);
  const int day = number(ten, 4, 2);
  return is_date_ymd(number(ten, 0, 2), number(ten, 2, 2), day > 60 ? day - 60 : day) && luhn(ten);
}

bool is_no_birth(std::string_view n) {
  const int first = 11 - weighted(n, std::array{3, 7, 6, 1, 8, 9, 4, 5, 2}) % 11;
  const int second = 11 - weighted(n, std::array{5, 4, 3, 2, 7, 6, 5, 4, 3, 2}) % 11;
  const int day = number(n, 0, 2);
  return is_date_ymd(number(n, 4, 2), number(n, 2, 2) % 40, day > 40 ? day - 40 : day) &&
         first % 11 == digit(n[9]) && second % 11 == digit(n[10]);
}

bool is_dk_cpr(std::string_view n) {
  return is_date_ymd(number(n, 4, 2), number(n, 2, 2), number(n, 0, 2));
}

bool is_ch_ahv(std::string_view n) {
  const int sum = weighted(n, std::array{1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3});
  return n.starts_with("756") && (10 - sum % 10) % 10 == digit(n[12]);
}

bool is_pt_nif(std::string_view n) {
  const int rest = weighted(n, std::array{9, 8, 7, 6, 5, 4, 3, 2}) % 11;
  return n[0] != '0' && (rest < 2 ? 0 : 11 - rest) == digit(n[8]);
}

bool is_ca_sin(std::string_view n) { return n[0] != '0' && n[0] != '8' && luhn(n); }

bool is_au_tfn(std::string_view n) {
  return weighted(n, std::array{1, 4, 3, 7, 5, 8, 6, 9, 10}) % 11 == 0;
}

bool is_au_abn(std::string_view n) {
  return (weighted(n, std::array{10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19}) - 10) % 89 == 0;
}

bool is_za_id(std::string_view n) {
  return is_date_ymd(number(n, 0, 2), number(n, 2, 2), number(n, 4, 2)) && n[10] <= '2' && luhn(n);
}

bool is_cn_resident(std::string_view n) {
  const int sum = weighted(n, std::array{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2});
  return is_date_ymd(number(n, 6, 4), number(n, 10, 2), number(n, 12, 2)) &&
         std::string_view("10X98765432")[static_cast<std::size_t>(sum % 11)] == n[17];
}

bool is_kr_resident(std::string_view n) {
  return is_date_ymd(number(n, 0, 2), number(n, 2, 2), number(n, 4, 2)) && n[6] >= '1' && n[6] <= '8';
}

bool is_sg_nric(std::string_view n) {
  static constexpr std::string_view kKinds = "STFGM";
  static constexpr std::array<std::string_view, 5> kLetters = {
      "JZIHGFEDCBA", "JZIHGFEDCBA", "XWUTRQPNMLK", "XWUTRQPNMLK", "XWUTRQPNJLK"};
  static constexpr std::array kOffsets = {0, 4, 0, 4, 3};
  const std::size_t kind = kKinds.find(n[0]);
  if (kind == n.npos) return false;
  const int sum = kOffsets[kind] + weighted(n.substr(1), std::array{2, 7, 6, 5, 4, 3, 2});
  const auto at = static_cast<std::size_t>(sum % 11);
  return kLetters[kind][n[0] == 'M' ? 10 - at : at] == n[8];
}

bool is_tr_identity(std::string_view n) {
  if (n[0] == '0') return false;
  const int odd = weighted(n, std::array{1, 0, 1, 0, 1, 0, 1, 0, 1});
  const int even = weighted(n, std::array{0, 1, 0, 1, 0, 1, 0, 1});
  const int tenth = ((odd * 7 - even) % 10 + 10) % 10;
  return tenth == digit(n[9]) && (odd + even + tenth) % 10 == digit(n[10]);
}

bool is_mx_curp(std::string_view n) {
  int sum = 0;
  for (std::size_t i = 0; i < 17; ++i) {
    // N-tilde stands between N and O, so letters behind it count one more.
    const int value = is_digit(n[i]) ? digit(n[i]) : n[i] - 'A' + 10 + (n[i] > 'N' ? 1 : 0);
    sum += value * (18 - static_cast<int>(i));
  }
  return (n[10] == 'H' || n[10] == 'M' || n[10] == 'X') && (10 - sum % 10) % 10 == digit(n[17]);
}

}  // namespace hearth::privacy
