// Reads what is asked, from the words of the command line or from standard input.
#include "cli/question.h"

#include <fmt/format.h>
#include <unistd.h>

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

}  // namespace hearth::cli
