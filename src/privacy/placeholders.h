// Stand-ins for what must not leave: "[PERSON_1]" for a name, the same one for the same name throughout
// a conversation; and the way back, in text that arrives in pieces and that a model has worked on.
//
// The way back takes "[PERSON_1]" in any case, with spaces or hyphens for '_', with Markdown's
// backslashes, with an ending inside ("[PERSON_1's]"), and "PERSON_1", in upper case, without brackets.  What looks like
// a placeholder and is none of this map's is left as it is and reported: a wrong name is worse than a
// visible gap.
//
// Text that holds such a form before redaction gets a placeholder itself ("[TEXT_1]"), so that nothing
// is restored that was not replaced.
//
// Threading: externally synchronised; a Restorer reads its map.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "privacy/span.h"

namespace hearth::privacy {

// What a placeholder may be long, in any of its forms; more than that is ordinary text.
inline constexpr std::size_t kPlaceholderBytesMax = 64;

class Placeholders {
 public:
  // `text` with its spans, sorted and without overlaps, replaced.
  std::string redact(std::string_view text, const Spans& spans);

  // The value of TYPE_NUMBER; null if there is none.
  const std::string* value(std::string_view type, std::uint64_t number) const;
  // Whether a type of this map is called so; both in upper case with '_'.
  bool has_type(std::string_view type) const { return by_type_.contains(std::string(type)); }
  // Whether a type's name begins with `prefix`.
  bool has_type_with_prefix(std::string_view prefix) const;
  std::size_t size() const { return numbers_.size(); }

 private:
  std::string placeholder_of(std::string_view type, std::string_view value);

  std::unordered_map<std::string, std::vector<std::string>> by_type_;  // Values; number 1 first.
  std::unordered_map<std::string, std::size_t> numbers_;               // Of "TYPE:value".
};

// Adds the places in `text` that look like placeholders, as spans of type "TEXT".
void find_placeholder_forms(std::string_view text, Spans& spans);

// What could not be put back, as it stands in the text.
struct RestoreReport {
  std::size_t n_restored = 0;
  std::vector<std::string> unknown;  // A placeholder's form, but none was given out: "[PERSON_9]".
  std::vector<std::string> mangled;  // Begins like one: "[PERSON]", "[PERSON_".

  bool is_clean() const { return unknown.empty() && mangled.empty(); }
};
inline constexpr std::size_t kReportedMax = 64;  // Of each kind; more are not listed.

// What the restored text is: in JSON, values are written as between a string's quotes.
enum class RestoredInto : std::uint8_t { kText, kJson };

class Restorer {
 public:
  // Borrows `placeholders`.
  explicit Restorer(const Placeholders& placeholders, RestoredInto into = RestoredInto::kText)
      : placeholders_(placeholders), into_(into) {}

  // Takes the next piece, split anywhere; returns what is sure by now.  Holds back at most
  // kPlaceholderBytesMax bytes.
  std::string feed(std::string_view piece);
  // The rest.
  std::string finish();
  const RestoreReport& report() const { return report_; }

 private:
  std::string work(bool is_end);

  const Placeholders& placeholders_;
  const RestoredInto into_;
  std::string held_;
  char before_ = '\0';  // The last byte that was worked on.
  RestoreReport report_;
};

// All at once.
std::string restore(const Placeholders& placeholders, std::string_view text, RestoreReport& report);

}  // namespace hearth::privacy
