// Reads what is asked: from the words of the command line, from standard input, or from a file.
#include "cli/question.h"

#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <iterator>

#include "base/utf8.h"
#include "cli/terminal.h"

namespace hearth::cli {
namespace {

constexpr std::size_t kQuestionBytesMax = std::size_t{8} << 20;

}  // namespace

Result<std::string> read_question(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  if (words.empty()) {
    if (::isatty(0) == 1) print_note("(type the question, end with Ctrl-D)");
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
  }
  if (text.size() > kQuestionBytesMax) {
    return fail(Code::kInvalidArgument, fmt::format("the question has {} bytes, at most {} are read",
                                                    text.size(), kQuestionBytesMax));
  }
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) {
    return fail(Code::kInvalidArgument, "there is no question; try: hearth ask \"What is a receipt?\"");
  }
  return sanitize_utf8(text);
}

Result<std::vector<std::string>> read_questions(const std::string& path, std::size_t n_max) {
  std::ifstream file(path);
  if (!file) return fail(Code::kNotFound, fmt::format("the file '{}' can't be read", path));
  std::vector<std::string> questions;
  for (std::string line; std::getline(file, line);) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (questions.size() == n_max) {
      return fail(Code::kInvalidArgument,
                  fmt::format("'{}' has more than {} questions, which is the limit: cut it into several files", path, n_max));
    }
    questions.push_back(sanitize_utf8(line));
  }
  if (!questions.empty()) return questions;
  return fail(Code::kInvalidArgument, fmt::format("'{}' has no question: write one per line", path));
}

}  // namespace hearth::cli
