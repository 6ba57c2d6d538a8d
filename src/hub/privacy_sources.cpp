#include "hub/privacy_sources.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/ascii.h"

namespace hearth::hub {
namespace {

constexpr std::size_t kPathsMax = 64;  // Of one call; the arguments of a call that has more are one path.

constexpr std::string_view kSeparators = "\"'`, =<>|;&\n\t\r";  // Of words.
constexpr std::string_view kBrackets = "()[]{}$@!";              // Around a word, and seldom in a name.

// Adds a word that may be a path, also as a URL of a file, and without what a shell may put around it.
void add_path(std::string_view word, std::vector<std::string>& paths) {
  if (word.find_first_of("/.~") == word.npos) return;
  paths.push_back(privacy::plain_path(word, privacy::Parents::kKept));
  constexpr std::string_view kFile = "file:";
  std::string_view inner = word.substr(std::min(word.find_first_not_of(kBrackets), word.size()));
  inner = inner.substr(0, inner.find_last_not_of(kBrackets) + 1);
  if (inner.starts_with(kFile)) inner.remove_prefix(kFile.size());
  if (!inner.empty() && inner != word) paths.push_back(privacy::plain_path(inner, privacy::Parents::kKept));
}

// The words of a text, so that a path inside a command is seen, too.
void add_paths(std::string_view text, std::vector<std::string>& paths) {
  std::string word;
  for (const char c : text) {
    if (kSeparators.find(c) == kSeparators.npos) {
      word += c == '\\' ? '/' : c;  // A path of Windows.
      continue;
    }
    add_path(word, paths);
    word.clear();
  }
  add_path(word, paths);
}

// Of all texts in a call's arguments, keys among them; of what is no JSON, as it is.
std::vector<std::string> paths_in(std::string_view arguments) {
  using Json = nlohmann::json;
  std::vector<std::string> paths;
  const auto note = [&](int, Json::parse_event_t, const Json& parsed) {
    if (parsed.is_string()) add_paths(parsed.get_ref<const std::string&>(), paths);
    return true;
  };
  if (Json::parse(arguments, note, /*allow_exceptions=*/false).is_discarded()) {
    paths.clear();
    add_paths(arguments, paths);
  }
  if (paths.size() > kPathsMax) paths = {std::string(privacy::kPathBytesMax + 1, '?')};
  return paths;
}

}  // namespace

std::string header_text(std::string_view name, std::string_view value) { return lower(name).append(": ").append(value); }

privacy::Sources sources_of(std::span<const Message> messages) {
  privacy::Sources sources;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const Message& message = messages[i];
    privacy::Source source{.role = role_name(message.role), .tool = {}, .paths = {}};
    if (message.role == Role::kTool) {
      source.tool = message.name;
      for (const Message& before : messages.first(i)) {
        for (const ToolCall& call : before.tool_calls) {
          if (call.id != message.tool_call_id) continue;
          source.tool = call.name;
          source.paths = paths_in(call.arguments);
        }
      }
    }
    sources.push_back(std::move(source));
  }
  return sources;
}

privacy::Sources sources_of(const ChatRequest& request) {
  privacy::Sources sources = sources_of(request.messages);
  if (sources.empty()) sources.push_back({.role = role_name(Role::kUser), .tool = {}, .paths = {}});
  for (privacy::Source& source : sources) source.headers = request.headers;
  return sources;
}

}  // namespace hearth::hub
