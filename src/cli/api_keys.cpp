#include "cli/api_keys.h"

#include <fmt/format.h>

#include <sstream>

#include "base/file.h"

namespace hearth::cli {

Result<std::vector<server::ApiKey>> load_api_keys(const std::filesystem::path& path) {
  HEARTH_TRY(const std::string text, read_file(path, std::size_t{1} << 20));
  std::error_code error;
  const auto mode = std::filesystem::status(path, error).permissions();
  constexpr auto kOthers = std::filesystem::perms::group_all | std::filesystem::perms::others_all;
  if (error || (mode & kOthers) != std::filesystem::perms::none) {
    return fail(Code::kPermissionDenied,
                fmt::format("others may read the keys in '{0}'; run: chmod 600 '{0}'", path.string()));
  }
  std::vector<server::ApiKey> keys;
  std::istringstream lines(text);
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    std::istringstream words(line);
    server::ApiKey key;
    std::string rest;
    if (!(words >> key.name) || key.name.starts_with('#')) continue;
    if (!(words >> key.secret) || words >> rest) {
      return fail(Code::kInvalidArgument,
                  fmt::format("'{}', line {}: expected a name and a key, separated by a space", path.string(), number));
    }
    keys.push_back(std::move(key));
  }
  if (keys.empty()) return fail(Code::kInvalidArgument, fmt::format("'{}' holds no key; write lines of the form NAME KEY", path.string()));
  return keys;
}

}  // namespace hearth::cli
