#include "privacy/network.h"

#include <arpa/inet.h>

#include <array>
#include <cstring>

#include "base/utf8_bounds.h"
#include "privacy/chars.h"

namespace hearth::privacy {
namespace {

constexpr std::size_t kUrlBytesMax = 4096;
constexpr std::size_t kLocalPartMax = 64;

bool is_local_part(char c) {
  return is_word(c) || std::string_view("._%+-'").find(c) != std::string_view::npos;
}

bool is_host(char c) { return is_word(c) || c == '-'; }

// Where a host of at least two labels ends, or `at`; `last` becomes its last label.
std::size_t host_end(std::string_view text, std::size_t at, std::string_view& last, int& n_labels) {
  std::size_t end = at;
  n_labels = 0;
  while (true) {
    std::size_t label = end;
    while (label - end < 64 && is_host(at_or_zero(text, label))) ++label;
    if (label == end || text[end] == '-') break;
    last = text.substr(end, label - end);
    ++n_labels;
    end = label;
    if (at_or_zero(text, end) != '.' || !is_word(at_or_zero(text, end + 1))) return end;
    ++end;
  }
  return at;
}

// Last labels that make a bare name a host.  Those that files or sentences end in, too (.py, .md, .rs,
// .sh, .it, .is, .in, .me, .to, .so), count only behind "www." or with two dots.
constexpr std::string_view kHostEnds =
    " com org net edu gov mil int info biz io ai dev app xyz online site shop store cloud tech blog co uk de fr "
    "es nl ch at be dk se fi pl cz sk hu ro hr si lt lv ee gr pt ie ru ua by tr il jp cn kr tw hk sg br mx ar cl pe "
    "ca us au nz za eu tv news wiki page ";
constexpr std::string_view kHostEndsOfLong = " it is in me to no id my so am gl uy cy rs py md sh ";

bool is_one_of(std::string_view list, std::string_view word) {
  if (word.size() > 8) return false;
  std::array<char, 12> padded{' '};
  std::size_t size = 1;
  for (const char c : word) padded[size++] = lower(c);
  padded[size++] = ' ';
  return list.find(std::string_view(padded.data(), size)) != list.npos;
}

// Past the path and query that follow, without the punctuation that ends a sentence.
std::size_t url_end(std::string_view text, std::size_t at) {
  std::size_t end = at;
  while (end < text.size() && end - at < kUrlBytesMax) {
    const char c = text[end];
    if (static_cast<unsigned char>(c) <= ' ' || c == '"' || c == '<' || c == '>' || c == '`' || c == '|' || c == '{' || c == '}') break;
    ++end;
  }
  end = utf8_bound_from(text, end);
  while (end > at && std::string_view(".,;:!?'*").find(text[end - 1]) != std::string_view::npos) --end;
  // A closing bracket belongs to it only if it was opened in it.
  if (end > at && (text[end - 1] == ')' || text[end - 1] == ']')) {
    const char open = text[end - 1] == ')' ? '(' : '[';
    if (text.substr(at, end - at).find(open) == std::string_view::npos) --end;
  }
  return end;
}

std::optional<Span> domain_span(std::size_t begin, std::size_t end, std::string_view detector) {
  return Span{begin, end, "DOMAIN_NAME", detector, Rank::kForm};
}

}  // namespace

std::optional<Span> find_email(std::string_view text, std::size_t at) {
  std::size_t begin = at;
  while (begin > 0 && at - begin < kLocalPartMax && is_local_part(text[begin - 1])) --begin;
  while (begin < at && (!is_word(text[begin]) || continues_utf8(text[begin]))) ++begin;
  std::string_view last;
  int n_labels = 0;
  const std::size_t end = host_end(text, at + 1, last, n_labels);
  const bool is_named = last.size() >= 2 && !is_digit(last[0]);
  if (begin == at || end == at + 1 || n_labels < 2 || !is_named) return std::nullopt;
  return Span{begin, end, "EMAIL_ADDRESS", "e-mail", Rank::kForm};
}

std::optional<Span> find_url(std::string_view text, std::size_t at) {
  std::size_t scheme = at;
  while (scheme - at < 16 && (is_alnum(at_or_zero(text, scheme)) || at_or_zero(text, scheme) == '+')) ++scheme;
  std::string_view last;
  int n_labels = 0;
  if (text.substr(scheme, 3) == "://" && scheme - at >= 2) {
    const std::size_t end = url_end(text, scheme + 3);
    if (end == scheme + 3) return std::nullopt;
    return domain_span(at, end, "url");
  }
  const std::size_t end = host_end(text, at, last, n_labels);
  if (end == at || n_labels < 2 || at_or_zero(text, end) == '@' || at_or_zero(text, end) == '(') return std::nullopt;
  const bool is_www = equal_ignoring_case(text.substr(at, 4), "www.");
  // "end.Then" is two sentences.
  const bool is_sentence = is_upper(last[0]) && !is_upper(text[at + (last.data() - text.data() - at) / 2]) && !is_upper(text[at]);
  const bool is_known = is_one_of(kHostEnds, last) || (n_labels > 2 && is_one_of(kHostEndsOfLong, last));
  if (!is_www && (!is_known || is_sentence)) return std::nullopt;
  const bool has_path = at_or_zero(text, end) == '/' || at_or_zero(text, end) == ':' || at_or_zero(text, end) == '?';
  return domain_span(at, has_path ? url_end(text, end) : end, "host");
}

std::optional<Span> find_ipv4(std::string_view text, std::size_t at) {
  std::size_t end = at;
  for (int part = 0; part < 4; ++part) {
    if (part > 0 && at_or_zero(text, end++) != '.') return std::nullopt;
    const Number number = read_number(text, end, 4);
    if (number.length == 0 || number.length > 3 || number.value > 255) return std::nullopt;
    end += static_cast<std::size_t>(number.length);
  }
  const char next = at_or_zero(text, end);
  const bool goes_on = is_word(next) || (next == '.' && is_digit(at_or_zero(text, end + 1)));
  if (goes_on || (at > 0 && text[at - 1] == '.')) return std::nullopt;
  // Four numbers may be a version: a word says so.
  if (has_word_before(text, at, "version|v|release", 9)) return std::nullopt;
  return Span{at, end, "IP_ADDRESS", "ipv4", Rank::kForm};
}

std::optional<Span> find_ipv6(std::string_view text, std::size_t at) {
  std::array<char, 48> copy{};
  std::size_t end = at, size = 0;
  int n_colons = 0, n_digits = 0, n_groups = 0;
  char before = ':';
  while (size + 1 < copy.size()) {
    const char c = at_or_zero(text, end);
    if (!is_hex(c) && c != ':' && c != '.') break;
    if (c == ':') ++n_colons;
    if (is_digit(c)) ++n_digits;
    if (is_hex(c) && before == ':') ++n_groups;
    before = c;
    copy[size++] = c;
    ++end;
  }
  while (size > 2 && (copy[size - 1] == '.' || (copy[size - 1] == ':' && copy[size - 2] != ':'))) {
    copy[--size] = '\0';
    --end;
  }
  const std::string_view found(copy.data(), size);
  const bool is_short = n_colons < 3 && !found.starts_with("::") && !found.starts_with("fe80");
  if (n_colons < 2 || n_digits == 0 || is_short || n_groups == 0 || is_word(at_or_zero(text, end))) return std::nullopt;
  in6_addr parsed{};
  if (inet_pton(AF_INET6, copy.data(), &parsed) != 1) return std::nullopt;
  return Span{at, end, "IP_ADDRESS", "ipv6", Rank::kForm};
}

std::optional<Span> find_mac(std::string_view text, std::size_t at) {
  const char separator = at_or_zero(text, at + 2);
  if (separator != ':' && separator != '-') return std::nullopt;
  for (std::size_t i = 0; i < 17; ++i) {
    const char c = at_or_zero(text, at + i);
    if (i % 3 == 2 ? c != separator : !is_hex(c)) return std::nullopt;
  }
  const char next = at_or_zero(text, at + 17);
  if (is_word(next) || next == separator) return std::nullopt;
  return Span{at, at + 17, "MAC_ADDRESS", "mac", Rank::kForm};
}

std::optional<Span> find_user_in_path(std::string_view text, std::size_t at) {
  for (const std::string_view folder : {"/home/", "/Users/", "\\Users\\", "\\\\Users\\\\", "/var/home/"}) {
    if (!equal_ignoring_case(text.substr(at, folder.size()), folder)) continue;
    const std::size_t begin = at + folder.size();
    std::size_t end = begin;
    while (end - begin < 64 && (is_word(at_or_zero(text, end)) || at_or_zero(text, end) == '.' || at_or_zero(text, end) == '-' || at_or_zero(text, end) == '_')) ++end;
    while (end > begin && (text[end - 1] == '.' || text[end - 1] == '-')) --end;
    end = utf8_bound_from(text, end);
    const std::string_view name = text.substr(begin, end - begin);
    const bool is_nobody = name.empty() || name == "user" || name == "root" || name == "Public" || name == "Shared" || name == "me";
    if (is_nobody) return std::nullopt;
    return Span{begin, end, "USER_NAME", "path", Rank::kForm};
  }
  return std::nullopt;
}

}  // namespace hearth::privacy
