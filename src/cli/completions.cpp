// Completions are tables of the verbs, each under its path ("models pull"): the script finds the path
// in the words so far, and offers what that verb takes.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <functional>
#include <string_view>

#include "cli/command_doc.h"

namespace hearth::cli {
namespace {

// Calls `visit(path, command)` for the command and all below it; the root's path is empty.
void each_command(const CommandDoc& command, const std::string& path,
                  const std::function<void(const std::string&, const CommandDoc&)>& visit) {
  visit(path, command);
  for (const CommandDoc& child : command.commands) {
    each_command(child, path.empty() ? child.name : path + " " + child.name, visit);
  }
}

// Inside of single quotes, in any of the three shells' languages.
std::string shell_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) c == '\'' ? out += "'\\''" : out += c;
  return out + "'";
}

// zsh reads brackets and colons in a description as its own.
std::string zsh_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::vector<std::string> words_of(const CommandDoc& command) {
  std::vector<std::string> words;
  for (const CommandDoc& child : command.commands) words.push_back(child.name);
  for (const OptionDoc& option : command.options) {
    words.insert(words.end(), option.names.begin(), option.names.end());
  }
  for (const OptionDoc& argument : command.arguments) {
    words.insert(words.end(), argument.choices.begin(), argument.choices.end());
  }
  return words;
}

constexpr std::string_view kBashHead = R"(# bash completion for hearth; source this file.
_hearth() {
  local path="" word current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} i
  declare -A words values
)";

constexpr std::string_view kBashTail = R"(  for ((i = 1; i < COMP_CWORD; ++i)); do
    word=${COMP_WORDS[i]}
    [[ -n "${words[${path:+$path }$word]+set}" ]] && path=${path:+$path }$word
  done
  local offered=${values["$path $before"]-none}
  if [[ "$offered" == none ]]; then
    COMPREPLY=($(compgen -W "${words[${path:-hearth}]}" -- "$current"))
    [[ "$current" == -* ]] || COMPREPLY+=($(compgen -f -- "$current"))
  elif [[ -z "$offered" ]]; then
    COMPREPLY=($(compgen -f -- "$current"))
  else
    COMPREPLY=($(compgen -W "$offered" -- "$current"))
  fi
}
complete -o filenames -F _hearth hearth
)";

}  // namespace

std::string bash_completions(const CommandDoc& root) {
  std::string out(kBashHead);
  each_command(root, "", [&](const std::string& path, const CommandDoc& command) {
    out += fmt::format("  words[{}]={}\n", shell_quoted(path.empty() ? root.name : path),
                       shell_quoted(fmt::format("{}", fmt::join(words_of(command), " "))));
    for (const OptionDoc& option : command.options) {
      if (option.value.empty()) continue;
      for (const std::string& name : option.names) {
        out += fmt::format("  values[{}]={}\n", shell_quoted(path + " " + name),
                           shell_quoted(fmt::format("{}", fmt::join(option.choices, " "))));
      }
    }
  });
  return out + std::string(kBashTail);
}

std::string zsh_completions(const CommandDoc& root) {
  std::string out = "#compdef hearth\n# zsh completion for hearth; a file _hearth in a folder of $fpath.\n\n";
  each_command(root, "", [&](const std::string& path, const CommandDoc& command) {
    std::string name = "_hearth" + (path.empty() ? path : "_" + path);
    for (char& c : name) c = c == ' ' || c == '-' ? '_' : c;
    out += name + "() {\n  local context state line\n  _arguments -C";
    for (const OptionDoc& option : command.options) {
      const std::string value =
          option.value.empty()     ? ""
          : option.choices.empty() ? fmt::format(":{}:_files", zsh_text(option.value))
                                   : fmt::format(":{}:({})", zsh_text(option.value), fmt::join(option.choices, " "));
      for (const std::string& spelled : option.names) {
        const std::string spec = fmt::format("{}{}[{}]{}", option.is_repeated ? "*" : "", spelled,
                                             zsh_text(option.description), value);
        out += " \\\n    " + shell_quoted(spec);
      }
    }
    if (!command.commands.empty()) {
      out += " \\\n    '1: :->verb' '*:: :->rest'\n  case $state in\n    verb) local verbs=(";
      for (const CommandDoc& child : command.commands) {
        out += "\n      " + shell_quoted(child.name + ":" + zsh_text(child.description));
      }
      out += fmt::format(")\n      _describe verb verbs ;;\n    rest) {}_${{line[1]//-/_}} ;;\n  esac\n", name);
    } else {
      for (const OptionDoc& argument : command.arguments) {
        const std::string values =
            argument.choices.empty() ? "_files" : fmt::format("({})", fmt::join(argument.choices, " "));
        out += " \\\n    " + shell_quoted(fmt::format("{}:{}:{}", argument.is_repeated ? "*" : "",
                                                zsh_text(argument.names.front()), values));
      }
      out += "\n";
    }
    out += "}\n\n";
  });
  return out + "_hearth \"$@\"\n";
}

// fish's conditions name the verbs that must have been typed, and that none below them has been.
std::string fish_completions(const CommandDoc& root) {
  std::string out = "# fish completion for hearth; a file hearth.fish in ~/.config/fish/completions.\n";
  each_command(root, "", [&](const std::string& path, const CommandDoc& command) {
    std::string condition = "true";
    for (std::size_t at = 0; at < path.size();) {
      const std::size_t end = std::min(path.find(' ', at), path.size());
      condition += "; and __fish_seen_subcommand_from " + path.substr(at, end - at);
      at = end + 1;
    }
    std::vector<std::string> below;
    for (const CommandDoc& child : command.commands) below.push_back(child.name);
    if (!below.empty()) {
      condition += fmt::format("; and not __fish_seen_subcommand_from {}", fmt::join(below, " "));
    }
    const std::string head = "complete -c hearth -n " + shell_quoted(condition);
    for (const CommandDoc& child : command.commands) {
      out += fmt::format("{} -f -a {} -d {}\n", head, child.name, shell_quoted(child.description));
    }
    for (const OptionDoc& option : command.options) {
      out += head;
      for (const std::string& name : option.names) {
        out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      }
      if (!option.value.empty()) out += " -r";
      if (!option.choices.empty()) out += " -f -a " + shell_quoted(fmt::format("{}", fmt::join(option.choices, " ")));
      out += " -d " + shell_quoted(option.description) + "\n";
    }
    for (const OptionDoc& argument : command.arguments) {
      if (argument.choices.empty()) continue;
      out += fmt::format("{} -f -a {}\n", head, shell_quoted(fmt::format("{}", fmt::join(argument.choices, " "))));
    }
  });
  return out;
}

}  // namespace hearth::cli
