#include "privacy/dictionary.h"

#include <fmt/format.h>

#include "base/utf8.h"
#include "privacy/chars.h"
#include "privacy/tagger/tokens.h"

namespace hearth::privacy {
namespace {

constexpr std::size_t kWordsMax = 16;  // Of a phrase.

std::size_t word_end(std::string_view text, std::size_t at) {
  while (at < text.size() && is_word(text[at])) ++at;
  return at;
}

std::string folded(std::string_view word) {
  std::string out;
  for (std::size_t at = 0; at < word.size();) {
    const Utf8Char c = decode_utf8(word.substr(at));
    append_utf8(out, tagger_lower(c.code_point));
    at += c.length;
  }
  return out;
}

// The start of the next word at or after `at`; the text's size if there is none.
std::size_t next_word(std::string_view text, std::size_t at) {
  while (at < text.size() && !is_word(text[at])) ++at;
  return at;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

}  // namespace

Result<> Dictionary::parse(std::string_view text, const std::string& name) {
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t newline = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, newline));
    text.remove_prefix(std::min(newline + 1, text.size()));
    ++number;
    if (line.empty() || line.front() == '#') continue;
    if (number > kDictionaryEntriesMax) {
      return fail(Code::kInvalidArgument, fmt::format("'{}' has more than {} lines", name, kDictionaryEntriesMax));
    }
    const std::size_t colon = line.find(':');
    if (colon == line.npos) {
      return fail(Code::kInvalidArgument, fmt::format("'{}' line {}: 'TYPE: words' expected", name, number));
    }
    if (const auto added = add(trimmed(line.substr(0, colon)), trimmed(line.substr(colon + 1))); !added) {
      return fail(Code::kInvalidArgument, fmt::format("'{}' line {}: {}", name, number, added.error().message));
    }
  }
  return {};
}

Result<> Dictionary::add(std::string_view type, std::string_view phrase) {
  const bool is_type = !type.empty() && type.size() <= 32 && is_upper(type[0]) &&
                       std::ranges::all_of(type, [](char c) { return is_upper(c) || is_digit(c) || c == '_'; });
  if (!is_type) {
    return fail(Code::kInvalidArgument, fmt::format("the type '{}' is not of A-Z, 0-9 and '_'", type));
  }
  Entry entry;
  for (std::size_t at = next_word(phrase, 0); at < phrase.size(); at = next_word(phrase, at)) {
    const std::size_t end = word_end(phrase, at);
    entry.words.push_back(folded(phrase.substr(at, end - at)));
    at = end;
  }
  if (entry.words.empty() || entry.words.size() > kWordsMax) {
    return fail(Code::kInvalidArgument, fmt::format("'{}' has {} words, 1 to {} expected", phrase, entry.words.size(), kWordsMax));
  }
  auto& stored = types_[std::string(type)];
  if (stored == nullptr) stored = std::make_shared<const std::string>(type);
  entry.type = stored;
  by_first_word_[entry.words[0]].push_back(std::move(entry));
  return {};
}

void Dictionary::find(std::string_view text, Spans& spans) const {
  if (by_first_word_.empty()) return;
  for (std::size_t at = next_word(text, 0); at < text.size();) {
    const std::size_t first_end = word_end(text, at);
    std::size_t longest = 0;
    const std::string* type = nullptr;
    const auto found = by_first_word_.find(folded(text.substr(at, first_end - at)));
    if (found != by_first_word_.end()) {
      for (const Entry& entry : found->second) {
        std::size_t end = first_end;
        bool is_match = true;
        for (std::size_t i = 1; i < entry.words.size() && is_match; ++i) {
          const std::size_t begin = next_word(text.substr(0, std::min(text.size(), end + 4)), end);
          const std::size_t stop = word_end(text, begin);
          is_match = begin > end && folded(text.substr(begin, stop - begin)) == entry.words[i];
          end = stop;
        }
        if (is_match && end > longest) {
          longest = end;
          type = entry.type.get();
        }
      }
    }
    if (type != nullptr) spans.push_back({at, longest, *type, "dictionary", Rank::kDictionary});
    at = next_word(text, std::max(first_end, longest));
  }
}

}  // namespace hearth::privacy
