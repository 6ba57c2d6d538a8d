// Phone numbers: by a plus or an exchange in parentheses, by the groups that countries write, or by a
// word beside them.
#include <array>

#include "privacy/chars.h"
#include "privacy/numbers.h"

namespace hearth::privacy {
namespace {

constexpr std::size_t kGroupsMax = 8;
constexpr std::string_view kWords =
    "phone|tel|mobile|cell|call|fax|text|sms|whatsapp|contact|number|reach|ring|dial|handy|telefon|"
    "telefone|téléphone|teléfono|móvil|portable|hotline|signal|pager|ph";
constexpr std::string_view kWordsAfter = "office|fax|mobile|cell|phone|home|work|ext|landline";

struct Phone {
  std::array<int, kGroupsMax> groups{};  // Digits in each.
  std::size_t n_groups = 0;
  int n_digits = 0;
  char separator = '\0';  // One kind between all groups, or '*'.
  bool has_plus = false, has_parentheses = false, is_free_of_zero = true;
  std::size_t end = 0;
};

bool is_separator(char c) { return c == ' ' || c == '-' || c == '.' || c == '/'; }

// As much of a phone number as stands at `at`.
Phone read_phone(std::string_view text, std::size_t at) {
  Phone phone;
  if (text[at] == '+') {
    phone.has_plus = true;
    ++at;
  }
  bool is_open = false;
  while (phone.n_groups < kGroupsMax) {
    if (at_or_zero(text, at) == '(' && !is_open) {
      is_open = phone.has_parentheses = true;
      ++at;
    }
    const Number group = read_number(text, at, 16);
    if (group.length == 0 || group.length > (is_open ? 6 : 15)) break;
    if (phone.n_groups == 0) phone.is_free_of_zero = text[at] != '0';
    phone.groups[phone.n_groups++] = group.length;
    phone.n_digits += group.length;
    at += static_cast<std::size_t>(group.length);
    phone.end = at;
    if (is_open) {
      if (at_or_zero(text, at) != ')') break;
      is_open = false;
      phone.end = ++at;
    }
    std::size_t gap = at;
    while (gap < at + 2 && is_separator(at_or_zero(text, gap))) ++gap;
    const char next = at_or_zero(text, gap);
    if (!is_digit(next) && next != '(') break;
    if (gap > at) {
      const char kind = text[at];
      phone.separator = phone.separator == '\0' || phone.separator == kind ? kind : '*';
    } else if (next != '(' && text[at - 1] != ')') {
      break;
    }
    at = gap;
  }
  if (is_open) phone.n_groups = 0;
  return phone;
}

// Groups as numbers without a country code are written, "3-3-4" being 555-123-4567.
struct Grouping {
  std::string_view form;
  std::string_view separators;  // Between all groups.
  bool starts_with_zero;        // Only then.
};
constexpr std::array kGroupings = {
    Grouping{"3-3-4", "-. /*", false},     Grouping{"1-3-3-4", "-. *", false},
    Grouping{"3-3-3-4", "-. *", false},    Grouping{"4-3-3-4", "-. *", false},
    Grouping{"2-2-2-2-2", "-. ", false},   Grouping{"2-2-2-2", "-. ", false},
    Grouping{"3-2-3", " ", false},         Grouping{"3-3-3", " -", false},
    Grouping{"3-4", "-", false},          Grouping{"2-4-4", " -.", true},
    Grouping{"3-4-4", " -.", true},        Grouping{"4-3-3", " -.", true},
    Grouping{"4-3-4", " -.", true},        Grouping{"5-6", " -./", true},
    Grouping{"4-6", " -./", true},         Grouping{"4-7", " -./", true},
    Grouping{"3-7", " -./", true},         Grouping{"3-8", " -./", true},
    Grouping{"4-8", " -./", true},         Grouping{"5-3-3", " -.", true},
    Grouping{"3-6", " -/", true},          Grouping{"2-8", " -/", true},
    Grouping{"2-7", " -/", true},          Grouping{"3-2-2-2", " -.", false},
    Grouping{"3-3-2-2", " -.", false},     Grouping{"4-3-2-2", " -.", true},
    Grouping{"2-3-2-2", " -.", true},      Grouping{"3-3-2-2-2", " ", true},
    Grouping{"5-5", " ", false},           Grouping{"2-3-3-2", " -", true},
    Grouping{"4-2-2-2", " -", true},       Grouping{"4-4", "- ", true},
};

bool is_usual_grouping(const Phone& phone) {
  std::array<char, 2 * kGroupsMax> form{};
  std::size_t size = 0;
  for (std::size_t i = 0; i < phone.n_groups; ++i) {
    if (phone.groups[i] > 9) return false;
    if (i > 0) form[size++] = '-';
    form[size++] = static_cast<char>('0' + phone.groups[i]);
  }
  for (const Grouping& usual : kGroupings) {
    if (usual.form != std::string_view(form.data(), size)) continue;
    if (usual.starts_with_zero && phone.is_free_of_zero) return false;
    return usual.separators.find(phone.separator) != usual.separators.npos;
  }
  return false;
}

// "x123" or "ext. 123" behind a number.
std::size_t with_extension(std::string_view text, std::size_t end) {
  std::size_t at = end;
  if (at_or_zero(text, at) == ' ') ++at;
  if (equal_ignoring_case(text.substr(at, 3), "ext")) {
    at += 3;
    while (at_or_zero(text, at) == '.' || at_or_zero(text, at) == ' ') ++at;
  } else if (lower(at_or_zero(text, at)) == 'x') {
    ++at;
  } else {
    return end;
  }
  const Number extension = read_number(text, at, 6);
  return extension.length == 0 ? end : at + static_cast<std::size_t>(extension.length);
}

}  // namespace

std::optional<Span> find_phone(std::string_view text, std::size_t at) {
  constexpr int kDigitsMin = 7, kDigitsMax = 15;
  const Phone phone = read_phone(text, at);
  if (phone.n_groups == 0 || phone.n_digits < kDigitsMin || phone.n_digits > kDigitsMax) return {};
  const char next = at_or_zero(text, phone.end);
  if (is_word(next) && lower(next) != 'x' && lower(next) != 'e') return {};
  const bool is_international = phone.has_plus || (phone.n_groups > 1 && text.substr(at, 2) == "00");
  const bool is_plain = phone.n_groups == 1 && !phone.has_parentheses;
  const bool is_clear = is_international || (phone.has_parentheses && phone.n_digits >= 9) ||
                        (!is_plain && !phone.has_parentheses && is_usual_grouping(phone));
  const Span span{at, with_extension(text, phone.end), "PHONE_NUMBER", "phone", Rank::kPattern};
  if (is_clear || has_word_before(text, at, kWords, 32) || has_word_after(text, phone.end, kWordsAfter, 8)) {
    return span;
  }
  return {};
}

}  // namespace hearth::privacy
