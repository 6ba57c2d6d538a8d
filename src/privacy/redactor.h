// Finds all that should not leave in a text: the deterministic floor (detect.h), the tagger above it,
// and the user's dictionary above both.
//
// Threading: const after creation; any thread.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "privacy/dictionary.h"
#include "privacy/span.h"
#include "privacy/tagger/tagger.h"

namespace hearth::privacy {

// A detector must not be fooled by size: longer texts are not looked at, and may not leave.
inline constexpr std::size_t kTextBytesMax = std::size_t{64} << 20;

class Redactor {
 public:
  explicit Redactor(Dictionary dictionary = {}) : dictionary_(std::move(dictionary)) {}
  Redactor(Dictionary dictionary, const Tagger& tagger)
      : dictionary_(std::move(dictionary)), tagger_(&tagger) {}

  // What is in `text`, sorted, without overlaps.  Spans hold views of the dictionary's types, so they
  // live as long as this.  Cost: some 100 ns for a byte of prose.
  Spans find(std::string_view text) const;

 private:
  Dictionary dictionary_;
  const Tagger* tagger_ = nullptr;  // Null: the built-in one, made when it is first needed.
};

// How many spans there are of each type.
std::map<std::string, std::size_t> count_types(const Spans& spans);

}  // namespace hearth::privacy
