// What the command line takes, as data: help, completions and the man page say the same, since all
// come from one table (command_line.cpp).
#pragma once

#include <string>
#include <vector>

namespace hearth::cli {

struct OptionDoc {
  std::vector<std::string> names;    // "-m", "--model"; of an argument, its name alone: "question".
  std::string value;                 // What follows it: "TEXT"; empty for a flag.
  std::vector<std::string> choices;  // The only values; empty: any.
  std::string description;
  bool is_required = false;
  bool is_repeated = false;  // May be given more than once.
};

struct CommandDoc {
  std::string name, description, footer;
  std::vector<OptionDoc> options;
  std::vector<OptionDoc> arguments;  // In order.
  std::vector<CommandDoc> commands;
};

// A script for bash, zsh or fish that completes `root`'s verbs, options and their choices.
std::string bash_completions(const CommandDoc& root);
std::string zsh_completions(const CommandDoc& root);
std::string fish_completions(const CommandDoc& root);

// hearth(1) in roff, with the man macros: a part for each verb.
std::string man_page(const CommandDoc& root, const std::string& version);

}  // namespace hearth::cli
