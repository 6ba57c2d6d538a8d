// `hearth ask`: one question, the answer as it comes, a line of receipt; or, with --dry-run, what would leave.
#include <nlohmann/json.hpp>

#include "cli/answer_source.h"
#include "cli/consent_prompt.h"
#include "cli/interrupt.h"
#include "cli/question.h"
#include "cli/receipt_text.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "hub/receipt_json.h"

namespace hearth::cli {

namespace {

nlohmann::ordered_json departure_json(const advisor::Departure& departure) {
  return {{"provider", departure.provider}, {"model", departure.model}, {"url", departure.url},
          {"label", departure.label},       {"body", departure.body},   {"worst_usd_micro", departure.worst_usd_micro}};
}

// What would leave, instead of the answer.
Result<> preview(const Context& context, AnswerSource& source, const std::vector<hub::Message>& messages,
                 const AnswerOptions& options) {
  AnswerListener listener = silent_listener();
  nlohmann::ordered_json departures = nlohmann::ordered_json::array();
  listener.on_preview = [&](const advisor::Departure& departure) {
    departures.push_back(departure_json(departure));
    if (!context.json) print_out(departure_text(departure));
  };
  HEARTH_TRY(const Answer answer, source.answer(messages, options, listener));
  if (context.json) {
    print_out(nlohmann::ordered_json{{"would_leave", departures},
                                     {"advice", hub::advice_outcome_name(answer.receipt.advice)},
                                     {"advice_detail", answer.receipt.advice_detail}}
                  .dump(2, ' ', false, nlohmann::json::error_handler_t::replace) +
              "\n");
  } else if (departures.empty()) {
    print_note("nothing would leave: " + answer.receipt.advice_detail);
  }
  return {};
}

}  // namespace

Result<> ask(const Context& context, const AskOptions& options) {
  HEARTH_TRY(std::string question, read_question(options.question));
  HEARTH_TRY(const auto source, AnswerSource::open(context, options.answer));
  watch_interrupts();

  std::vector<hub::Message> messages;
  if (!options.answer.system.empty()) messages.push_back({.role = hub::Role::kSystem, .content = options.answer.system});
  messages.push_back({.role = hub::Role::kUser, .content = std::move(question)});

  if (options.answer.is_preview) return preview(context, *source, messages, options.answer);

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
