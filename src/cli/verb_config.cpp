// `hearth config`: what is in force, and with --explain what could be.
#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/paths.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

namespace hearth::cli {
namespace {

// A file that `--explain > hearth.toml` makes: every key commented out at its default.
std::string explained_toml(const std::vector<ConfigKeyText>& rows) {
  std::string text, section;
  for (const ConfigKeyText& row : rows) {
    const auto dot = row.key.find('.');
    if (row.header != section) {
      section = row.header;
      text += fmt::format("{}{}\n", text.empty() ? "" : "\n", section);
    }
    text += fmt::format("# {} ({})\n", row.explanation, row.type);
    text += fmt::format("{}{} = {}\n", row.value == row.default_value ? "# " : "", row.key.substr(dot + 1), row.value);
  }
  return text;
}

nlohmann::ordered_json to_json(const std::vector<ConfigKeyText>& rows, const std::string& path) {
  nlohmann::ordered_json keys = nlohmann::ordered_json::array();
  for (const ConfigKeyText& row : rows) {
    keys.push_back({{"key", row.key}, {"value", row.value}, {"default", row.default_value},
                    {"type", row.type}, {"explanation", row.explanation}});
  }
  return {{"file", path}, {"keys", keys}};
}

}  // namespace

Result<> config(const Context& context, const ConfigOptions& options) {
  const auto rows = explain_config(context.config);
  if (context.json) {
    print_out(to_json(rows, context.config_path).dump(2) + "\n");
    return {};
  }
  std::error_code ignored;
  const bool exists = std::filesystem::exists(context.config_path, ignored);
  print_note(fmt::format("# {}{}", context.config_path, exists ? "" : " (not there: all defaults)"));
  if (options.explain) {
    print_out(explained_toml(rows));
    return {};
  }
  std::vector<std::vector<std::string>> table;
  for (const ConfigKeyText& row : rows) {
    table.push_back({row.key, "=", row.value, row.value == row.default_value ? "" : "(set)"});
  }
  print_out(format_table(table));
  return {};
}

}  // namespace hearth::cli
