// `hearth chat`: a conversation, line by line.
//
// Ctrl-C stops the answer and not the program; Ctrl-D at the prompt leaves.  What the
// slash commands do stands in one table.
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <iostream>
#include <memory>
#include <string>

#include "base/utf8.h"
#include "cli/answer_source.h"
#include "cli/interrupt.h"
#include "cli/line_editor.h"
#include "cli/open_catalogue.h"
#include "cli/paths.h"
#include "cli/receipt_text.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

namespace hearth::cli {
namespace {

struct Conversation {
  AnswerOptions options;
  std::vector<hub::Message> messages;
  std::vector<hub::Receipt> receipts;  // Of the answers among them.
  std::int64_t cost_usd_micro = 0;
  bool leaving = false;

  void restart() {
    messages.clear();
    receipts.clear();
    if (!options.system.empty()) messages.push_back({.role = hub::Role::kSystem, .content = options.system});
  }
};

constexpr auto kAdviceModes = std::to_array<std::string_view>({"never", "auto", "always"});

void show_help(Conversation&, const std::string&);

void set_model(Conversation& talk, const std::string& name) {
  if (!name.empty()) talk.options.model = name;
  print_note("model: " + talk.options.model);
}

void set_advice(Conversation& talk, const std::string& mode) {
  const bool is_mode = std::ranges::find(kAdviceModes, mode) != kAdviceModes.end();
  if (!mode.empty() && !is_mode) return print_note(fmt::format("/advise {}: there are {}", mode, fmt::join(kAdviceModes, ", ")));
  if (is_mode) talk.options.advice = mode;
  print_note("advice: " + (talk.options.advice.empty() ? "as configured" : talk.options.advice));
}

void show_why(Conversation& talk, const std::string&) {
  if (talk.receipts.empty()) return print_note("nothing was answered yet");
  const hub::Receipt& last = talk.receipts.back();
  print_note(receipt_line(last));
  if (!last.advice_detail.empty()) print_note(last.advice_detail);
}

void show_cost(Conversation& talk, const std::string&) {
  print_note(fmt::format("advice in this conversation cost {}", format_usd(talk.cost_usd_micro)));
}

// The conversation as Markdown, each answer with its receipt.
std::string as_markdown(const Conversation& talk) {
  std::string text = "# A conversation with Hearth\n";
  auto receipt = talk.receipts.begin();
  for (const hub::Message& message : talk.messages) {
    const bool is_answer = message.role == hub::Role::kAssistant;
    const std::string who = is_answer ? receipt->model : message.role == hub::Role::kUser ? "You" : "Instructions";
    text += fmt::format("\n## {}\n\n{}\n", who, message.content);
    if (is_answer) text += fmt::format("\n*{}*\n", receipt_line(*receipt++));
  }
  return text;
}

void save(Conversation& talk, const std::string& name) {
  if (name.empty()) return print_note("/save FILE: name the file");
  if (talk.receipts.empty()) return print_note("nothing was answered yet");
  const std::string path = expand_home(name);
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) {
    const bool exists = errno == EEXIST;
    return print_note(exists ? fmt::format("'{}' is there already: choose another name", path)
                             : fmt::format("'{}' can't be written: {}", path, std::strerror(errno)));
  }
  const std::unique_ptr<FILE, decltype([](FILE* f) { std::fclose(f); })> out(::fdopen(file, "w"));
  const std::string text = as_markdown(talk);
  const bool is_whole = std::fwrite(text.data(), 1, text.size(), out.get()) == text.size() && std::fflush(out.get()) == 0;
  if (!is_whole) return print_note(fmt::format("'{}' can't be written: {}", path, std::strerror(errno)));
  print_note(fmt::format("saved in {}", path));
}

void take_image(Conversation&, const std::string&) {
  print_note("no model here looks at pictures; describe it in words, or paste the text that it shows");
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
    SlashCommand{"/save", "FILE", "this conversation as Markdown", save},
    SlashCommand{"/image", "FILE", "a picture, where a model can look at one", take_image},
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
  const std::size_t space = line.find(' ');
  const std::string name = line.substr(0, space);
  const std::size_t begin = line.find_first_not_of(' ', space), last = line.find_last_not_of(' ');
  const std::string argument = space == line.npos || begin == line.npos ? "" : line.substr(begin, last + 1 - begin);
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
  talk.receipts.push_back(answer->receipt);
  talk.cost_usd_micro += answer->receipt.cost_usd_micro;
  print_note(receipt_line(answer->receipt));
  return {};
}

// What may follow a slash: commands, and what some take.
std::vector<std::string> completions(const Config& config, std::string_view before) {
  std::vector<std::string> all;
  const auto offer = [&](std::string_view command, std::string_view argument) {
    all.push_back(argument.empty() ? fmt::format("{} ", command) : fmt::format("{} {}", command, argument));
  };
  if (before.find(' ') == before.npos) {
    for (const SlashCommand& command : kCommands) offer(command.name, "");
  } else if (before.starts_with("/advise ")) {
    for (const std::string_view mode : kAdviceModes) offer("/advise", mode);
  } else if (before.starts_with("/model ")) {
    for (const char* choice : {"auto", "local"}) offer("/model", choice);
    if (const auto catalogue = open_catalogue(config)) {
      for (const auto& entry : catalogue->entries()) {
        if (entry.problem.empty()) offer("/model", entry.name);
      }
    }
  }
  std::erase_if(all, [&](const std::string& one) { return !before.starts_with('/') || !one.starts_with(before); });
  return all;
}

// Where the conversation's lines come from: a person's terminal, or a pipe, whose lines are the messages.
using ReadLine = std::function<LineEnd(std::string& line)>;

LineEnd read_piped_line(std::string& line) { return std::getline(std::cin, line) ? LineEnd::kLine : LineEnd::kEnd; }

ReadLine make_reader(const Config& config, bool is_interactive) {
  const bool is_shown = ::isatty(STDOUT_FILENO) == 1 || ::isatty(STDERR_FILENO) == 1;
  if (!is_interactive || !is_shown) return read_piped_line;
  auto editor = std::make_shared<LineEditor>(state_folder() / "chat_history",
                                             [&config](std::string_view before) { return completions(config, before); });
  return [editor](std::string& line) { return editor->read(line); };
}

}  // namespace

Result<> chat(const Context& context, const ChatOptions& options) {
  HEARTH_TRY(const auto source, AnswerSource::open(context, options.answer));
  watch_interrupts();
  Conversation talk{.options = options.answer};
  talk.restart();
  const bool is_interactive = ::isatty(STDIN_FILENO) == 1;
  if (is_interactive) print_note("/help lists commands, Alt-Enter begins a line, Ctrl-C stops an answer, Ctrl-D leaves");
  const ReadLine read_line = make_reader(context.config, is_interactive);

  std::string line;
  while (!talk.leaving) {
    const LineEnd end = read_line(line);
    if (end == LineEnd::kEnd) break;
    if (end == LineEnd::kInterrupted || line.find_first_not_of(" \t\r\n") == std::string::npos) continue;
    if (line[0] == '/') {
      run_command(talk, line);
      continue;
    }
    // A request that fails (a wrong model name, a full context) must not end the conversation.
    if (auto done = exchange(*source, talk, sanitize_utf8(line)); !done) {
      if (!is_interactive) return done;
      print_error(done.error());
    }
  }
  return {};
}

}  // namespace hearth::cli
