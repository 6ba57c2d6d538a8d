#include "cli/paths.h"

#include <cstdlib>

namespace hearth::cli {
namespace {

// The variable if it holds an absolute path (the XDG specification ignores others), else
// `fallback` under the home folder.
std::filesystem::path xdg(const char* variable, const char* fallback) {
  if (const char* value = std::getenv(variable); value != nullptr && value[0] == '/') return value;
  const char* home = std::getenv("HOME");
  return std::filesystem::path(home != nullptr ? home : "/") / fallback;
}

}  // namespace

std::filesystem::path config_file() {
  if (const char* value = std::getenv("HEARTH_CONFIG"); value != nullptr && *value != '\0') {
    return value;
  }
  return xdg("XDG_CONFIG_HOME", ".config") / "hearth" / "hearth.toml";
}

std::filesystem::path data_folder() { return xdg("XDG_DATA_HOME", ".local/share") / "hearth"; }
std::filesystem::path store_folder() { return data_folder() / "store"; }
std::filesystem::path ledger_file() { return data_folder() / "ledger.db"; }
std::filesystem::path advice_file() { return data_folder() / "advice.db"; }
std::filesystem::path consents_file() { return data_folder() / "consents.jsonl"; }
std::filesystem::path calibration_folder() { return data_folder() / "calibration"; }
std::filesystem::path conversations_folder() { return data_folder() / "conversations"; }
std::filesystem::path pulled_folder() { return data_folder() / "models"; }
std::filesystem::path cache_folder() { return xdg("XDG_CACHE_HOME", ".cache") / "hearth"; }
std::filesystem::path snapshot_folder() { return cache_folder() / "snapshots"; }
std::filesystem::path state_folder() { return xdg("XDG_STATE_HOME", ".local/state") / "hearth"; }

std::string expand_home(const std::string& path) {
  const char* home = std::getenv("HOME");
  if (home != nullptr && (path == "~" || path.starts_with("~/"))) return home + path.substr(1);
  return path;
}

}  // namespace hearth::cli
