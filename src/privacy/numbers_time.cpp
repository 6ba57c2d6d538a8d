// Dates, times and ages.
#include <array>

#include "privacy/checksum.h"
#include "privacy/chars.h"
#include "privacy/numbers.h"

namespace hearth::privacy {
namespace {

constexpr std::array<std::string_view, 7> kWeekdays = {
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"};
constexpr std::array<std::string_view, 12> kMonths = {
    "january", "february", "march",     "april",   "may",      "june",
    "july",    "august",   "september", "october", "november", "december"};

std::string_view word_at(std::string_view text, std::size_t at) {
  std::size_t end = at;
  while (is_word(at_or_zero(text, end))) ++end;
  return text.substr(at, end - at);
}

// Whether `word` is a month: in full, or its first three letters ("sept" is one, too).
bool is_month(std::string_view word) {
  if (word.size() < 3 || word.size() > 9) return false;
  return std::ranges::any_of(kMonths, [&](std::string_view month) {
    return equal_ignoring_case(word, month) || equal_ignoring_case(word, month.substr(0, 3)) ||
           (month == "september" && equal_ignoring_case(word, "sept"));
  });
}

std::size_t length_of(const Number& number) { return static_cast<std::size_t>(number.length); }

bool is_end(std::string_view text, std::size_t at) { return !is_word(at_or_zero(text, at)); }

// "HH:MM", "HH:MM:SS.fff", with a zone or am/pm; where it ends, or `at` itself for no time.
std::size_t time_end(std::string_view text, std::size_t at) {
  const Number hours = read_number(text, at, 2);
  std::size_t end = at + length_of(hours);
  if (hours.length == 0 || hours.value > 24 || at_or_zero(text, end) != ':') return at;
  for (int part = 0; part < 2 && at_or_zero(text, end) == ':'; ++part) {
    const Number number = read_number(text, end + 1, 2);
    if (number.length != 2 || number.value > 60) return part == 0 ? at : end;
    end += 3;
  }
  if (at_or_zero(text, end) == '.' && is_digit(at_or_zero(text, end + 1))) {
    end += 1 + length_of(read_number(text, end + 1, 9));
  }
  const std::size_t gap = end + (at_or_zero(text, end) == ' ' ? 1 : 0);
  const std::string_view suffix = word_at(text, gap);
  if (equal_ignoring_case(suffix, "am") || equal_ignoring_case(suffix, "pm")) return gap + 2;
  if (suffix == "Z" && gap == end) return end + 1;
  const char sign = at_or_zero(text, end);
  if ((sign == '+' || sign == '-') && is_digit(at_or_zero(text, end + 1))) {
    const Number zone = read_number(text, end + 1, 4);
    const std::size_t zone_end = end + 1 + length_of(zone);
    if (zone.length == 4) return zone_end;
    if (zone.length == 2 && at_or_zero(text, zone_end) == ':') return zone_end + 3;
  }
  return is_end(text, end) ? end : at;
}

// With the time behind it, if there is one: "T12:00", " 12:00", ", 12:00".
std::size_t with_time(std::string_view text, std::size_t end) {
  std::size_t at = end;
  if (at_or_zero(text, at) == ',') ++at;
  if (at_or_zero(text, at) == 'T' || at_or_zero(text, at) == ' ') ++at;
  if (at == end) return end;
  const std::size_t later = time_end(text, at);
  return later == at ? end : later;
}

Span date_span(std::size_t begin, std::size_t end) {
  return {begin, end, "DATE_TIME", "date", Rank::kForm};
}

// Where the numeric date ends: three numbers with one separator, of which one order is a date.
std::size_t numeric_date_end(std::string_view text, std::size_t at) {
  std::array<Number, 3> n{};
  std::size_t end = at;
  char separator = '\0';
  for (std::size_t i = 0; i < 3; ++i) {
    if (i > 0) {
      const char c = at_or_zero(text, end);
      if (c != '/' && c != '-' && c != '.') return at;
      if (i == 2 && c != separator) return at;
      separator = c;
      ++end;
    }
    n[i] = read_number(text, end, 4);
    if (n[i].length == 0 || n[i].length == 3) return at;
    end += length_of(n[i]);
  }
  const bool is_number_after = at_or_zero(text, end) == separator && is_digit(at_or_zero(text, end + 1));
  const bool has_letter_after = is_word(at_or_zero(text, end)) && at_or_zero(text, end) != 'T';
  if (has_letter_after || is_number_after) return at;
  const auto [a, b, c] = n;
  const bool is_year_first = a.length == 4 && a.value >= 1000 && b.length <= 2 && c.length <= 2;
  if (is_year_first) return is_date_ymd(a.value, b.value, c.value) ? end : at;
  const bool is_year_last = a.length <= 2 && b.length <= 2 && (c.length == 4 || c.length == 2);
  const bool is_version = separator == '.' && c.length == 2 && (a.length == 1 && b.length == 1);
  if (!is_year_last || is_version) return at;
  return is_date_ymd(c.value, b.value, a.value) || is_date_ymd(c.value, a.value, b.value) ? end : at;
}

// ", 2024" or " 2024" behind a day and a month.
std::size_t with_year(std::string_view text, std::size_t end) {
  std::size_t at = end;
  if (at_or_zero(text, at) == '.') ++at;
  if (at_or_zero(text, at) == ',') ++at;
  if (at_or_zero(text, at) != ' ') return end;
  const Number year = read_number(text, at + 1, 5);
  const bool is_year = year.length == 4 && year.value >= 1000 && year.value < 2200;
  return is_year && is_end(text, at + 5) ? at + 5 : end;
}

// "st", "nd", "rd", "th", "." behind a day's number.
std::size_t ordinal_end(std::string_view text, std::size_t at) {
  const std::string_view word = word_at(text, at);
  for (const std::string_view ordinal : {"st", "nd", "rd", "th"}) {
    if (equal_ignoring_case(word, ordinal)) return at + 2;
  }
  return at_or_zero(text, at) == '.' && at_or_zero(text, at + 1) == ' ' ? at + 1 : at;
}

}  // namespace

std::optional<Span> find_date(std::string_view text, std::size_t at) {
  if (const std::size_t end = numeric_date_end(text, at); end > at) {
    return date_span(at, with_time(text, end));
  }
  if (const std::size_t end = time_end(text, at); end > at && !is_word(at_or_zero(text, end)) && at_or_zero(text, end) != ':') return date_span(at, end);
  // "5 March 2024", "5th of March".
  const Number day = read_number(text, at, 3);
  if (day.length > 2 || day.value < 1 || day.value > 31) return {};
  std::size_t month = ordinal_end(text, at + length_of(day));
  if (at_or_zero(text, month) != ' ' && at_or_zero(text, month) != '-') return {};
  ++month;
  if (equal_ignoring_case(text.substr(month, 3), "of ")) month += 3;
  const std::string_view word = word_at(text, month);
  if (!is_month(word)) return {};
  const std::size_t end = with_year(text, month + word.size());
  const bool is_verb = word == "may" || word == "march" || word == "mar";
  if (is_verb && end == month + word.size()) return {};
  return date_span(at, with_time(text, end));
}

std::optional<Span> find_worded_date(std::string_view text, std::size_t at) {
  const std::string_view word = word_at(text, at);
  if (word.size() < 3 || word.size() > 9) return {};
  for (const std::string_view day : kWeekdays) {
    if (equal_ignoring_case(word, day)) return date_span(at, at + word.size());
  }
  if (!is_month(word)) return {};
  std::size_t number = at + word.size();
  if (at_or_zero(text, number) == '.') ++number;
  if (at_or_zero(text, number) != ' ') return {};
  const Number day = read_number(text, ++number, 5);
  std::size_t end = number + length_of(day);
  if (day.length == 4 && day.value >= 1000 && day.value < 2200) {
    return is_end(text, end) ? std::optional(date_span(at, end)) : std::nullopt;
  }
  if (day.length == 0 || day.length > 2 || day.value < 1 || day.value > 31) return {};
  end = ordinal_end(text, end);
  if (!is_end(text, end)) return {};
  if (at_or_zero(text, end - 1) == '.') --end;
  const std::size_t year = with_year(text, end);
  if (year == end && !is_upper(word[0])) return {};
  return date_span(at, with_time(text, year));
}

std::optional<Span> find_age(std::string_view text, std::size_t at) {
  constexpr int kAgeMax = 125;
  const Number age = read_number(text, at, 4);
  if (age.length > 3 || age.value > kAgeMax) return {};
  const std::size_t end = at + length_of(age);
  const Span span{at, end, "AGE", "words around", Rank::kPattern};
  // "84-year-old", "61 years old", "61 y/o".
  std::size_t next = end;
  if (at_or_zero(text, next) == '-' || at_or_zero(text, next) == ' ') ++next;
  const std::string_view word = word_at(text, next);
  const bool is_unit = equal_ignoring_case(word, "year") || equal_ignoring_case(word, "years") ||
                       equal_ignoring_case(word, "yr") || equal_ignoring_case(word, "yrs");
  if (is_unit) {
    const std::string_view rest = text.substr(next + word.size(), 8);
    if (has_word_after(rest, 0, "old|of age|young", 8)) return span;
  }
  if (equal_ignoring_case(word, "yo") || equal_ignoring_case(text.substr(next, 3), "y/o")) return span;
  if (!is_end(text, end) || (at_or_zero(text, end) == '.' && is_digit(at_or_zero(text, end + 1)))) return {};
  const bool is_percent = at_or_zero(text, end) == '%';
  if (!is_percent && has_word_before(text, at, "age|aged|age of|age:", age.length > 0 ? 8 : 0)) return span;
  return {};
}

}  // namespace hearth::privacy
