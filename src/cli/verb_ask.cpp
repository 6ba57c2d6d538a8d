// `hearth ask`: one question, the answer as it comes, a line of receipt.
#include <fmt/format.h>
#include <unistd.h>

#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/utf8.h"
#include "cli/answer_source.h"
#include "cli/interrupt.h"
#include "cli/receipt_text.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "hub/receipt_json.h"

namespace hearth::cli {
namespace {

constexpr std::size_t kQuestionBytesMax = std::size_t{8} << 20;

// The words of the command line, or standard input to its end.
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

}  // namespace

Result<> ask(const Context& context, const AskOptions& options) {
  HEARTH_TRY(std::string question, read_question(options.question));
  HEARTH_TRY(const auto source, AnswerSource::open(context, options.answer));
  watch_interrupts();

  std::vector<hub::Message> messages;
  if (!options.answer.system.empty()) messages.push_back({.role = hub::Role::kSystem, .content = options.answer.system});
  messages.push_back({.role = hub::Role::kUser, .content = std::move(question)});

  const AnswerListener listener =
      context.json ? silent_listener() : terminal_listener(options.answer.hide_thinking);
  HEARTH_TRY(const Answer answer, source->answer(messages, options.answer, listener));

  if (context.json) {
    const auto receipt = nlohmann::ordered_json::parse(hub::receipt_to_json(answer.receipt));
    print_out(nlohmann::ordered_json{{"answer", answer.text}, {"receipt", receipt}}.dump(2) + "\n");
  } else {
    print_out("\n");
    print_note(receipt_line(answer.receipt));
  }
  return {};
}

}  // namespace hearth::cli
