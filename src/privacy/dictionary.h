// The user's own words: names of projects, customers or people that no detector could know.
//
// A file of lines `TYPE: word or phrase`; empty lines and lines that begin with '#' are skipped.  Case
// does not matter, and the words of a phrase may stand apart by any spaces.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "privacy/span.h"

namespace hearth::privacy {

inline constexpr std::size_t kDictionaryEntriesMax = 100'000;

class Dictionary {
 public:
  // Adds the words of a file; `name` stands in messages.  kInvalidArgument names the line.
  Result<> parse(std::string_view text, const std::string& name);

  // kInvalidArgument for a type that is not of A-Z, 0-9 and '_', or a phrase without a letter or digit.
  Result<> add(std::string_view type, std::string_view phrase);

  // Appends each whole-word occurrence.  Spans hold views of this dictionary's types.
  void find(std::string_view text, Spans& spans) const;
  bool empty() const { return by_first_word_.empty(); }

 private:
  struct Entry {
    std::vector<std::string> words;  // Folded.
    std::shared_ptr<const std::string> type;  // Shared, so that a copy's spans hold what the original's do.
  };

  std::unordered_map<std::string, std::vector<Entry>> by_first_word_;
  std::unordered_map<std::string, std::shared_ptr<const std::string>> types_;
};

}  // namespace hearth::privacy
