#include "cli/api_keys.h"

#include <fmt/format.h>

#include <cstdlib>
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
    std::string role, rest;
    if (!(words >> key.name) || key.name.starts_with('#')) continue;
    const bool is_whole = static_cast<bool>(words >> key.secret);
    key.is_admin = words >> role && role == "admin";
    if (!is_whole || (!role.empty() && !key.is_admin) || words >> rest) {
      return fail(Code::kInvalidArgument,
                  fmt::format("'{}', line {}: expected a name, a key and, if it is to see everybody's receipts, "
                              "'admin', separated by spaces", path.string(), number));
    }
    keys.push_back(std::move(key));
  }
  if (keys.empty()) return fail(Code::kInvalidArgument, fmt::format("'{}' holds no key; write lines of the form NAME KEY [admin]", path.string()));
  return keys;
}

std::string own_api_key() {
  const char* const key = std::getenv("HEARTH_API_KEY");
  return key != nullptr ? key : "";
}

}  // namespace hearth::cli
