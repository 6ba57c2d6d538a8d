// `hearth ask`: one question, the answer as it comes, a line of receipt.
#include <nlohmann/json.hpp>

#include "cli/answer_source.h"
#include "cli/interrupt.h"
#include "cli/question.h"
#include "cli/receipt_text.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "hub/receipt_json.h"

namespace hearth::cli {

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
