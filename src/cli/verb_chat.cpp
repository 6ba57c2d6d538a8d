// `hearth chat`: a conversation, line by line.
//
// Ctrl-C stops the answer and not the program; Ctrl-D at the prompt leaves.  What the
// slash commands do stands in one table.
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <iostream>
#include <string>

#include "base/utf8.h"
#include "cli/answer_source.h"
#include "cli/interrupt.h"
#include "cli/receipt_text.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

namespace hearth::cli {
namespace {

struct Conversation {
  AnswerOptions options;
  std::vector<hub::Message> messages;
  hub::Receipt last_receipt;
  std::int64_t cost_usd_micro = 0;
  bool leaving = false;

  void restart() {
    messages.clear();
    if (!options.system.empty()) messages.push_back({.role = hub::Role::kSystem, .content = options.system});
  }
};

void show_help(Conversation&, const std::string&);

void set_model(Conversation& talk, const std::string& name) {
  if (!name.empty()) talk.options.model = name;
  print_note("model: " + talk.options.model);
}

void set_advice(Conversation& talk, const std::string& mode) {
  if (mode == "never" || mode == "auto" || mode == "always") talk.options.advice = mode;
  print_note("advice: " + (talk.options.advice.empty() ? "as configured" : talk.options.advice));
}

void show_why(Conversation& talk, const std::string&) {
  print_note(talk.last_receipt.id.empty() ? "nothing was answered yet" : receipt_line(talk.last_receipt));
  if (!talk.last_receipt.advice_detail.empty()) print_note(talk.last_receipt.advice_detail);
}

void show_cost(Conversation& talk, const std::string&) {
  print_note(fmt::format("advice in this conversation cost {}", format_usd(talk.cost_usd_micro)));
}

void start_again(Conversation& talk, const std::string&) {
  talk.restart();
  print_note("a new conversation");
}

void leave(Conversation& talk, const std::string&) { talk.leaving = true; }

struct SlashCommand {
  std::string_view name, argument, help;
  void (*run)(Conversation&, const std::string& argument);
};
constexpr std::array kCommands = {
    SlashCommand{"/model", "NAME", "answer with another model", set_model},
    SlashCommand{"/advise", "never|auto|always", "whether the adviser may be asked", set_advice},
    SlashCommand{"/why", "", "the last answer's receipt", show_why},
    SlashCommand{"/cost", "", "what advice has cost in this conversation", show_cost},
    SlashCommand{"/new", "", "forget this conversation and start another", start_again},
    SlashCommand{"/help", "", "this list", show_help},
    SlashCommand{"/quit", "", "leave, as Ctrl-D does", leave},
};

void show_help(Conversation&, const std::string&) {
  std::vector<std::vector<std::string>> rows;
  for (const SlashCommand& command : kCommands) {
    rows.push_back({fmt::format("{} {}", command.name, command.argument), std::string(command.help)});
  }
  print_note(format_table(rows));
}

void run_command(Conversation& talk, const std::string& line) {
  const auto space = line.find(' ');
  const std::string name = line.substr(0, space);
  const std::string argument = space == std::string::npos ? "" : line.substr(line.find_first_not_of(' ', space));
  for (const SlashCommand& command : kCommands) {
    if (command.name == name) return command.run(talk, argument);
  }
  print_note(fmt::format("there is no {}; /help lists what there is", name));
}

// Asks with what was said so far; an interrupted answer is taken back with its question.
Result<> exchange(AnswerSource& source, Conversation& talk, std::string line) {
  talk.messages.push_back({.role = hub::Role::kUser, .content = std::move(line)});
  const AnswerListener listener = terminal_listener(talk.options.hide_thinking);
  auto answer = source.answer(talk.messages, talk.options, listener);
  print_out("\n");
  if (!answer) {
    talk.messages.pop_back();
    if (answer.error().code != Code::kCancelled) return std::unexpected(answer.error());
    print_note("(stopped)");
    return {};
  }
  talk.messages.push_back({.role = hub::Role::kAssistant, .content = answer->text});
  talk.last_receipt = answer->receipt;
  talk.cost_usd_micro += answer->receipt.cost_usd_micro;
  print_note(receipt_line(answer->receipt));
  return {};
}

// Reads a line; false at the end of input.  A Ctrl-C at the prompt starts it afresh.
bool read_line(std::string& line, bool interactive) {
  for (;;) {
    if (interactive) print_out("\n> ");
    if (std::getline(std::cin, line)) return true;
    if (!take_interrupt()) return false;
    std::cin.clear();
    clearerr(stdin);
  }
}

}  // namespace

Result<> chat(const Context& context, const ChatOptions& options) {
  HEARTH_TRY(const auto source, AnswerSource::open(context, options.answer));
  watch_interrupts();
  Conversation talk{.options = options.answer};
  talk.restart();
  const bool interactive = ::isatty(0) == 1;
  if (interactive) print_note("/help lists commands, Ctrl-C stops an answer, Ctrl-D leaves");

  std::string line;
  while (!talk.leaving && read_line(line, interactive)) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (line[0] == '/') {
      run_command(talk, line);
      continue;
    }
    // A request that fails (a wrong model name, a full context) must not end the conversation.
    if (auto done = exchange(*source, talk, sanitize_utf8(line)); !done) {
      if (!interactive) return done;
      print_error(done.error());
    }
  }
  return {};
}

}  // namespace hearth::cli
