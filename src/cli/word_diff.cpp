#include "cli/word_diff.h"

#include <algorithm>
#include <vector>

#include "base/common_sequence.h"

namespace hearth::cli {
namespace {

constexpr std::size_t kWordsMax = 4'000;  // Of each text: the table has a cell for each pair.

using Words = std::vector<std::string_view>;

Words words_of(std::string_view text) {
  Words words;
  for (std::size_t at = text.find_first_not_of(" \t\r\n"); at != text.npos;) {
    const std::size_t end = std::min(text.find_first_of(" \t\r\n", at), text.size());
    words.push_back(text.substr(at, end - at));
    at = text.find_first_not_of(" \t\r\n", end);
  }
  return words;
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
  DiffWriter out;
  const auto add = [&out](char mark) { return [&out, mark](std::string_view word) { out.add(mark, word); }; };
  walk_common(a, b, add(' '), add('-'), add('+'));
  return out.finish();
}

double common_words(std::string_view before, std::string_view after) {
  const Words a = words_of(before), b = words_of(after);
  if (a.size() > kWordsMax || b.size() > kWordsMax) return before == after ? 1 : 0;
  if (a.empty() && b.empty()) return 1;
  const auto ignore = [](std::string_view) {};
  return 2.0 * static_cast<double>(walk_common(a, b, ignore, ignore, ignore)) / static_cast<double>(a.size() + b.size());
}

}  // namespace hearth::cli
