#include <unistd.h>

#include <memory>

#include "cli/answer_source.h"
#include "cli/consent_prompt.h"
#include "cli/terminal.h"

namespace hearth::cli {

AnswerListener terminal_listener(bool hide_thinking) {
  // Thinking ends with a line of its own before anything else is printed.
  const auto is_thinking = std::make_shared<bool>(false);
  const bool show_thinking = !hide_thinking && ::isatty(2) == 1;
  const auto end_thinking = [is_thinking] {
    if (*is_thinking) print_note("");
    *is_thinking = false;
  };
  return {.on_text =
              [end_thinking](const std::string& text) {
                end_thinking();
                print_out(text);
              },
          .on_thinking =
              [is_thinking, show_thinking](const std::string& text) {
                if (!show_thinking) return;
                *is_thinking = true;
                print_faint(text);
              },
          .on_status =
              [end_thinking](const std::string& status) {
                end_thinking();
                print_note(status);
              },
          .on_consent =
              [end_thinking](const advisor::Departure& departure) {
                end_thinking();
                return ask_for_consent(departure);
              }};
}

AnswerListener silent_listener() {
  const auto ignore = [](const std::string&) {};
  return {ignore, ignore, ignore};
}

}  // namespace hearth::cli
