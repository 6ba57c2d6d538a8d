#include "hub/privacy_sources.h"

#include <algorithm>
#include <string_view>

namespace hearth::hub {
namespace {

constexpr std::size_t kPathsMax = 64;  // Of one call; the arguments of a call that has more are one path.

bool may_be_path(std::string_view text) {
  return !text.empty() && text.find_first_of("/.\\~") != text.npos;
}

// The texts between quotes, with JSON's escapes of slashes and backslashes undone, and their words, so
// that a path inside a command is seen, too.
std::vector<std::string> paths_in(std::string_view arguments) {
  std::vector<std::string> paths;
  std::string word;
  const auto end_word = [&] {
    if (may_be_path(word)) paths.push_back(word);
    word.clear();
  };
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    char c = arguments[i];
    if (c == '\\' && i + 1 < arguments.size()) {
      c = arguments[++i];
      if (c == 'n' || c == 't' || c == 'r') c = ' ';
      if (c == '\\') c = '/';  // A path of Windows.
    }
    if (c == '"' || c == '\'' || c == ' ' || c == ',' || c == '=' || c == '<' || c == '>' || c == '|' || c == ';') {
      end_word();
    } else if (c != '/' || !word.ends_with('/')) {  // Two separators are one.
      word += c;
    }
  }
  end_word();
  if (paths.size() > kPathsMax) paths = {std::string(privacy::kPathBytesMax + 1, '?')};
  return paths;
}

}  // namespace

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
