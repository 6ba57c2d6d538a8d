// The manual page, in the requests of the man macros: one part for each verb that does something.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string_view>

#include "cli/command_doc.h"

namespace hearth::cli {
namespace {

// Text as roff takes it: no line begins as a request, backslashes and hyphens are themselves.
std::string roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool begins_line = out.empty() || out.back() == '\n';
    if (begins_line && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out;
}

std::string value_of(const OptionDoc& option) {
  if (option.choices.empty()) return fmt::format("\\fI{}\\fR", roff(option.value));
  return roff(fmt::format("{}", fmt::join(option.choices, "|")));
}

std::string argument_of(const OptionDoc& argument) {
  const std::string name = fmt::format("\\fI{}\\fR{}", roff(argument.names.front()), argument.is_repeated ? "..." : "");
  return argument.is_required ? name : "[" + name + "]";
}

void write_option(std::string& out, const OptionDoc& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.names) names.push_back("\\fB" + roff(name) + "\\fR");
  out += fmt::format(".TP\n{}{}\n{}\n", fmt::join(names, ", "), option.value.empty() ? "" : " " + value_of(option),
                     roff(option.description));
}

void write_command(std::string& out, const CommandDoc& command, const std::string& path) {
  for (const CommandDoc& child : command.commands) write_command(out, child, path + " " + child.name);
  if (!command.commands.empty()) return;
  out += fmt::format(".SS \"{}", roff(path));
  for (const OptionDoc& argument : command.arguments) out += " " + argument_of(argument);
  out += fmt::format("\"\n{}.\n", roff(command.description));
  for (const OptionDoc& argument : command.arguments) {
    out += fmt::format(".TP\n\\fI{}\\fR\n{}\n", roff(argument.names.front()), roff(argument.description));
  }
  for (const OptionDoc& option : command.options) write_option(out, option);
}

}  // namespace

std::string man_page(const CommandDoc& root, const std::string& version) {
  std::string out = fmt::format(".TH HEARTH 1 \"\" \"Hearth {}\" \"User Commands\"\n", version);
  out += fmt::format(".SH NAME\nhearth \\- a hybrid AI hub: local models first, a cloud model when it pays\n");
  out += ".SH SYNOPSIS\n.B hearth\n[\\fIoptions\\fR] \\fIverb\\fR [\\fIarguments\\fR]\n";
  out += fmt::format(".SH DESCRIPTION\n{}\n.SH OPTIONS\n", roff(root.description));
  for (const OptionDoc& option : root.options) write_option(out, option);
  out += ".SH VERBS\n";
  for (const CommandDoc& child : root.commands) write_command(out, child, "hearth " + child.name);
  return out + fmt::format(".SH NOTES\n{}\n", roff(root.footer));
}

}  // namespace hearth::cli
