#include "privacy/detect.h"

#include <algorithm>

#include "privacy/chars.h"
#include "privacy/network.h"
#include "privacy/numbers.h"
#include "privacy/secrets.h"

namespace hearth::privacy {
namespace {

// One pass over the text: at each byte where something could begin, the detectors for it.
class Scan {
 public:
  Scan(std::string_view text, Spans& spans) : text_(text), spans_(spans) {}

  void run() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      const char before = at_ > 0 ? text_[at_ - 1] : '\0';
      const std::size_t from = at_;
      if (is_digit(c)) {
        if (!is_digit(before)) at_number(is_word(before));
      } else if (is_word(c)) {
        if (!is_word(before)) at_word();
      } else {
        at_sign(c);
      }
      at_ = std::max(at_, from + 1);
    }
  }

 private:
  // Adds what was found and goes on behind it.
  bool take(const std::optional<Span>& span) {
    if (!span) return false;
    spans_.push_back(*span);
    at_ = std::max(at_, span->end);
    return true;
  }
  // Adds, but looks into it further: a URL may hold a key, a list of numbers a card.
  bool note(const std::optional<Span>& span) {
    if (span) spans_.push_back(*span);
    return span.has_value();
  }

  void at_number(bool is_glued) {
    const NumberRun run = read_run(text_, at_);
    if (take(find_card(text_, run)) || is_glued || take(find_service_key(text_, at_))) return;
    // The groups of what follows are looked at on their own, too: a card may begin at one.
    if (note(find_national_id(text_, run)) || note(find_ipv4(text_, at_))) return;
    if (note(find_mac(text_, at_)) || note(find_ipv6(text_, at_))) return;
    if (note(find_date(text_, at_)) || note(find_named_number(text_, run))) return;
    if (!is_inside_number() && note(find_phone(text_, at_))) return;
    note(find_age(text_, at_));
  }

  // Whether this is not the first group of a longer number ("1.234.567").
  bool is_inside_number() const {
    if (at_ < 2) return false;
    const char before = text_[at_ - 1];
    const bool is_joined = before == '.' || before == ',' || before == '-' || before == '/' || before == ':' || before == '#';
    return is_joined && is_word(text_[at_ - 2]);
  }

  void at_word() {
    if (take(find_service_key(text_, at_))) return;
    std::size_t end = at_;
    while (end < text_.size() && is_word(text_[end])) ++end;
    if (is_code_ahead(end)) {
      const NumberRun run = read_run(text_, at_);
      if (take(find_iban(text_, run))) return;
      if (!note(find_national_id(text_, run))) note(find_named_number(text_, run));
    }
    std::size_t name_end = end;
    while (name_end < text_.size() && (is_word(text_[name_end]) || text_[name_end] == '_' || text_[name_end] == '-')) ++name_end;
    if (const auto secret = find_assigned_secret(text_, at_, name_end)) {
      note(secret);
    }
    const char next = at_or_zero(text_, end);
    if ((next == ':' || next == '-') && (take(find_mac(text_, at_)) || take(find_ipv6(text_, at_)))) return;
    const bool may_be_host = next == '.' || next == ':' || next == '-' || next == '+';
    if (may_be_host && note(find_url(text_, at_))) {
      if (spans_.back().detector == "host") {
        while (is_word(at_or_zero(text_, at_)) || at_or_zero(text_, at_) == '.' || at_or_zero(text_, at_) == '-') ++at_;
      } else {
        at_ = text_.find("://", at_) + 3;
      }
      return;
    }
    if (take(find_worded_date(text_, at_))) return;
    // Digits inside of the word may begin a card.
    at_ = std::max(at_ + 1, first_digit(end));
  }

  std::size_t first_digit(std::size_t end) const {
    const auto word = text_.substr(at_, end - at_);
    const auto found = std::ranges::find_if(word, is_digit);
    return at_ + static_cast<std::size_t>(found - word.begin());
  }

  // Whether a digit stands in this word, or in the group behind a short one.
  bool is_code_ahead(std::size_t end) const {
    constexpr std::size_t kLettersMax = 6;
    if (first_digit(end) < end) return true;
    if (end - at_ > kLettersMax) return false;
    for (std::size_t i = end; i < end + 4; ++i) {
      if (is_digit(at_or_zero(text_, i))) return true;
    }
    return end - at_ == 3 && is_upper(text_[at_]) && is_upper(at_or_zero(text_, end + 1));
  }

  void at_sign(char c) {
    switch (c) {
      case '@':
        take(find_email(text_, at_));
        break;
      case '+':
      case '(':
        if (is_digit(at_or_zero(text_, at_ + 1)) && !(at_ > 0 && is_word(text_[at_ - 1]))) note(find_phone(text_, at_));
        break;
      case '-':
        take(find_private_key(text_, at_));
        break;
      case ':':
        if (at_or_zero(text_, at_ + 1) == ':' && !(at_ > 0 && is_word(text_[at_ - 1]))) take(find_ipv6(text_, at_));
        break;
      case '/':
      case '\\':
        take(find_user_in_path(text_, at_));
        break;
      default:
        break;
    }
  }

  const std::string_view text_;
  Spans& spans_;
  std::size_t at_ = 0;
};

}  // namespace

void detect(std::string_view text, Spans& spans) { Scan(text, spans).run(); }

Spans resolve(std::string_view text, Spans spans) {
  constexpr std::size_t kCutBytesMin = 8;  // What is left of a URL is shorter: nothing worth hiding.
  std::ranges::stable_sort(spans, [](const Span& a, const Span& b) {
    if (a.rank != b.rank) return a.rank > b.rank;
    return a.end - a.begin > b.end - b.begin;
  });
  std::vector<bool> is_taken(text.size());
  Spans kept;
  for (Span span : spans) {
    const auto first = is_taken.begin() + static_cast<std::ptrdiff_t>(span.begin);
    const auto last = is_taken.begin() + static_cast<std::ptrdiff_t>(span.end);
    const auto clash = std::find(first, last, true);
    if (clash != last) {
      span.end = static_cast<std::size_t>(clash - is_taken.begin());
      const bool may_cut = span.type == "DOMAIN_NAME" && span.end - span.begin >= kCutBytesMin;
      if (!may_cut) continue;
    }
    std::fill(first, is_taken.begin() + static_cast<std::ptrdiff_t>(span.end), true);
    kept.push_back(span);
  }
  std::ranges::sort(kept, {}, &Span::begin);
  return kept;
}

}  // namespace hearth::privacy
