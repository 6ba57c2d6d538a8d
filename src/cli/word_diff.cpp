#include "cli/word_diff.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace hearth::cli {
namespace {

constexpr std::size_t kWordsMax = 4'000;  // Of each text: the table has a cell for each pair.

using Words = std::vector<std::string_view>;
using Table = std::vector<std::vector<std::uint16_t>>;

Words words_of(std::string_view text) {
  Words words;
  for (std::size_t at = text.find_first_not_of(" \t\r\n"); at != text.npos;) {
    const std::size_t end = std::min(text.find_first_of(" \t\r\n", at), text.size());
    words.push_back(text.substr(at, end - at));
    at = text.find_first_not_of(" \t\r\n", end);
  }
  return words;
}

// Of the longest common subsequence from each pair of places on.
Table common_lengths(const Words& a, const Words& b) {
  Table lengths(a.size() + 1, std::vector<std::uint16_t>(b.size() + 1));
  for (std::size_t i = a.size(); i-- > 0;) {
    for (std::size_t j = b.size(); j-- > 0;) {
      lengths[i][j] = a[i] == b[j] ? static_cast<std::uint16_t>(lengths[i + 1][j + 1] + 1)
                                   : std::max(lengths[i + 1][j], lengths[i][j + 1]);
    }
  }
  return lengths;
}

// Marks words that only one side has, those that follow each other in one mark.
class DiffWriter {
 public:
  void add(char mark, std::string_view word) {
    if (mark != mark_) {
      end_mark();
      if (!out_.empty()) out_ += ' ';
      if (mark != ' ') out_ += mark == '-' ? "[-" : "{+";
      mark_ = mark;
    } else if (!out_.empty()) {
      out_ += ' ';
    }
    out_ += word;
  }
  std::string finish() {
    end_mark();
    return std::move(out_);
  }

 private:
  void end_mark() {
    if (mark_ == '-') out_ += "-]";
    if (mark_ == '+') out_ += "+}";
    mark_ = ' ';
  }
  std::string out_;
  char mark_ = ' ';
};

}  // namespace

std::string word_diff(std::string_view before, std::string_view after) {
  const Words a = words_of(before), b = words_of(after);
  if (a.size() > kWordsMax || b.size() > kWordsMax) return "[-" + std::string(before) + "-]\n{+" + std::string(after) + "+}";
  const Table lengths = common_lengths(a, b);
  DiffWriter out;
  for (std::size_t i = 0, j = 0; i < a.size() || j < b.size();) {
    if (i < a.size() && j < b.size() && a[i] == b[j]) {
      out.add(' ', a[i]);
      ++i, ++j;
    } else if (j == b.size() || (i < a.size() && lengths[i + 1][j] >= lengths[i][j + 1])) {
      out.add('-', a[i++]);
    } else {
      out.add('+', b[j++]);
    }
  }
  return out.finish();
}

double common_words(std::string_view before, std::string_view after) {
  const Words a = words_of(before), b = words_of(after);
  if (a.size() > kWordsMax || b.size() > kWordsMax) return before == after ? 1 : 0;
  if (a.empty() && b.empty()) return 1;
  return 2.0 * common_lengths(a, b)[0][0] / static_cast<double>(a.size() + b.size());
}

}  // namespace hearth::cli
