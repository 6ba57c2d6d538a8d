#include "privacy/placeholders.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "privacy/chars.h"
#include "privacy/detect.h"

namespace hearth::privacy {
namespace {

constexpr std::size_t kNumberDigitsMax = 6;
constexpr std::size_t kEndingBytesMax = 4;  // "'s", "’s" and the like behind the number.

bool is_joint(char c) { return c == '_' || c == ' ' || c == '-'; }

// A form "[PERSON_1]" or "PERSON_1" at the head of a text.
struct Form {
  enum class Kind : std::uint8_t {
    kNone,      // Ordinary text.
    kUnsure,    // More bytes decide.
    kWhole,     // TYPE and number.
    kUnclosed,  // An opening bracket and letters, but no placeholder: mangled if the letters name a type.
  };
  Kind kind = Kind::kNone;
  std::size_t length = 0;
  std::string type;  // Upper case, words joined by '_'.
  std::uint64_t number = 0;
  std::string ending;  // What stood between the number and the bracket.
};

// Reads characters of a form; Markdown's backslashes before brackets and '_' count as part of them.
class FormReader {
 public:
  // A text that is shorter than kPlaceholderBytesMax may go on; a backslash at its end waits for that.
  explicit FormReader(std::string_view text) : text_(text) {
    if (text_.size() < kPlaceholderBytesMax && text_.ends_with('\\')) text_.remove_suffix(1);
  }

  // A bare form is in upper case.  `is_alone`: and no letter or digit follows it.
  Form read(bool is_alone = true) {
    is_alone_ = is_alone;
    const bool is_bracketed = take('[');
    if (is_bracketed) skip_spaces();
    std::string name;
    while (at_ < text_.size() && name.size() < kPlaceholderBytesMax) {
      const char c = peek();
      if (is_bracketed ? is_alpha(c) : is_upper(c)) {
        name += upper(c);
      } else if (is_joint(c) && !name.empty() && (c == '_' || is_bracketed)) {
        name += '_';
      } else if (is_digit(c) && !name.empty() && is_inside_name()) {
        name += c;
      } else {
        break;
      }
      next();
    }
    while (name.ends_with('_')) {
      name.pop_back();
      has_joint_ = true;
    }
    return end_of(std::move(name), is_bracketed);
  }

 private:
  Form end_of(std::string name, bool is_bracketed) {
    if (is_cut()) {
      if (name.empty() && !is_bracketed) return {};
      return {.kind = Form::Kind::kUnsure, .length = at_, .type = std::move(name)};
    }
    Form form{.type = std::move(name)};
    if (form.type.empty()) return {};
    const std::size_t name_end = at_;
    std::size_t n_digits = 0;
    while (is_digit(peek()) && n_digits <= kNumberDigitsMax) {
      form.number = form.number * 10 + static_cast<std::uint64_t>(peek() - '0');
      ++n_digits;
      next();
    }
    const bool has_number = n_digits > 0 && n_digits <= kNumberDigitsMax;
    if (is_cut()) {
      return {.kind = Form::Kind::kUnsure, .length = at_, .type = std::move(form.type)};
    }
    if (!is_bracketed) {
      const bool goes_on = is_word(peek()) || peek() == '_';
      if (!has_number || !has_joint_ || (is_alone_ && goes_on)) return {};
      form.kind = Form::Kind::kWhole;
      form.length = at_;
      return form;
    }
    return has_number ? closed(std::move(form), name_end) : unclosed(std::move(form), name_end);
  }

  // Behind the number of a bracketed form: an ending, and the bracket.
  Form closed(Form form, std::size_t name_end) {
    const std::size_t ending = at_;
    while (at_ < text_.size() && at_ - ending <= kEndingBytesMax && (is_word(peek()) || peek() == '\'')) ++at_;
    const std::size_t ending_end = at_;
    skip_spaces();
    if (is_cut()) {
      return {.kind = Form::Kind::kUnsure, .length = at_, .type = std::move(form.type)};
    }
    if (ending_end - ending > kEndingBytesMax || !take(']')) return unclosed(std::move(form), name_end);
    // A backslash that is the only one is no Markdown: it ends a path before the placeholder.
    if (text_.front() == '\\' && n_escapes_ == 1) return {};
    form.kind = Form::Kind::kWhole;
    form.ending = std::string(text_.substr(ending, ending_end - ending));
    form.length = at_;
    return form;
  }

  Form unclosed(Form form, std::size_t name_end) {
    form.kind = Form::Kind::kUnclosed;
    form.length = name_end;
    return form;
  }

  // Whether it ended where more could come.
  bool is_cut() const { return at_ >= text_.size() && text_.size() < kPlaceholderBytesMax; }

  char peek() const {
    const char c = at_or_zero(text_, at_);
    if (c != '\\') return c;
    const char escaped = at_or_zero(text_, at_ + 1);
    return escaped == '_' || escaped == '[' || escaped == ']' ? escaped : c;
  }
  void next() {
    const bool is_escaped = at_or_zero(text_, at_) == '\\' && peek() != '\\';
    if (is_escaped) ++n_escapes_;
    at_ += is_escaped ? 2 : 1;
  }
  bool take(char c) {
    if (peek() != c) return false;
    next();
    return true;
  }
  void skip_spaces() {
    while (at_or_zero(text_, at_) == ' ') ++at_;
  }
  // A digit belongs to the name ("PLAN9_1") if '_' follows the digits; at a cut that is unsure.
  bool is_inside_name() {
    if (is_joint(text_[at_ - 1])) return false;
    std::size_t end = at_;
    while (is_digit(at_or_zero(text_, end))) ++end;
    if (end == text_.size() && text_.size() < kPlaceholderBytesMax) at_ = end;
    return at_or_zero(text_, end) == '_';
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t n_escapes_ = 0;
  bool has_joint_ = false;
  bool is_alone_ = true;
};

bool may_begin_form(char c, char before) {
  if (c == '[' || c == '\\') return true;
  return is_upper(c) && !is_word(before) && before != '_';
}

// `value` as it stands between the quotes of a JSON string.
std::string json_quoted(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out;
}

void note(std::vector<std::string>& list, std::string_view text) {
  if (list.size() < kReportedMax) list.emplace_back(text);
}

}  // namespace

std::string Placeholders::redact(std::string_view text, const Spans& spans) {
  Spans all = spans;
  find_placeholder_forms(text, all);
  if (all.size() != spans.size()) all = resolve(text, std::move(all));
  std::string out;
  out.reserve(text.size());
  std::size_t at = 0;
  for (const Span& span : all) {
    out += text.substr(at, span.begin - at);
    out += placeholder_of(span.type, text.substr(span.begin, span.end - span.begin));
    at = span.end;
  }
  out += text.substr(at);
  return out;
}

std::string Placeholders::placeholder_of(std::string_view type, std::string_view value) {
  const auto [found, is_new] = numbers_.try_emplace(fmt::format("{}:{}", type, value), 0);
  std::vector<std::string>& values = by_type_[std::string(type)];
  if (is_new) {
    values.emplace_back(value);
    found->second = values.size();
  }
  return fmt::format("[{}_{}]", type, found->second);
}

const std::string* Placeholders::value(std::string_view type, std::uint64_t number) const {
  const auto found = by_type_.find(std::string(type));
  if (found == by_type_.end() || number == 0 || number > found->second.size()) return nullptr;
  return &found->second[number - 1];
}

bool Placeholders::has_type_with_prefix(std::string_view prefix) const {
  return std::ranges::any_of(by_type_, [&](const auto& entry) { return entry.first.starts_with(prefix); });
}

// What stands beside a form may be replaced, too: so it counts whatever stands there.
void find_placeholder_forms(std::string_view text, Spans& spans) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (!may_begin_form(text[at], '\0')) continue;
    // The byte behind stands for the end of the text: nothing is left unsure.
    const std::string head = std::string(text.substr(at, kPlaceholderBytesMax)) + '\n';
    const Form form = FormReader(head).read(/*is_alone=*/false);
    if (form.kind != Form::Kind::kWhole) continue;
    spans.push_back({at, at + form.length, "TEXT", "placeholder", Rank::kForm});
    at += form.length - 1;
  }
}

std::string Restorer::feed(std::string_view piece) {
  held_ += piece;
  return work(/*is_end=*/false);
}

std::string Restorer::finish() { return work(/*is_end=*/true); }

std::string Restorer::work(bool is_end) {
  std::string out;
  std::size_t at = 0;
  const auto pass = [&](std::size_t length) {
    out.append(held_, at, length);
    before_ = held_[at + length - 1];
    at += length;
  };
  while (at < held_.size()) {
    if (!may_begin_form(held_[at], before_)) {
      pass(1);
      continue;
    }
    if (held_[at] == '\\' && at + 1 == held_.size() && !is_end) break;
    std::string head = held_.substr(at, kPlaceholderBytesMax);
    const bool is_last = head.size() == held_.size() - at;
    if (is_end && is_last) head += '\n';  // Nothing more comes: nothing is unsure.
    const Form form = FormReader(head).read();
    if (form.kind == Form::Kind::kUnsure && placeholders_.has_type_with_prefix(form.type)) break;
    if (form.kind == Form::Kind::kWhole && placeholders_.has_type(form.type)) {
      const std::string_view as_written = std::string_view(head).substr(0, form.length);
      if (const std::string* const value = placeholders_.value(form.type, form.number)) {
        out += (into_ == RestoredInto::kJson ? json_quoted(*value) : *value) + form.ending;
        ++report_.n_restored;
        before_ = held_[at + form.length - 1];
        at += form.length;
        continue;
      }
      note(report_.unknown, as_written);
      pass(form.length);
      continue;
    }
    if (form.kind == Form::Kind::kUnclosed && placeholders_.has_type(form.type)) {
      note(report_.mangled, std::string_view(head).substr(0, form.length));
    }
    pass(1);
  }
  held_.erase(0, at);
  return out;
}

std::string restore(const Placeholders& placeholders, std::string_view text, RestoreReport& report) {
  Restorer restorer(placeholders);
  std::string out = restorer.feed(text);
  out += restorer.finish();
  report = restorer.report();
  return out;
}

}  // namespace hearth::privacy
