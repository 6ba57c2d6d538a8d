#include "advisor/api_key.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string_view>

#include "base/file.h"

namespace hearth::advisor {
namespace {

Result<std::string> checked(std::string_view text, const std::string& place) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) {
    return fail(Code::kInvalidArgument,
                fmt::format("{} is empty, it should hold an API key", place));
  }
  text = text.substr(first, text.find_last_not_of(kSpace) - first + 1);
  const bool is_printable = std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
  if (!is_printable || text.size() > kKeyBytesMax) {
    return fail(Code::kInvalidArgument,
                fmt::format("{} holds no API key: a key is one word of printable ASCII of at most "
                            "{} bytes",
                            place, kKeyBytesMax));
  }
  return std::string(text);
}

// Only its owner may read it, and that is us (or root, who may read everything anyway).
Result<> check_permissions(const std::string& file) {
  struct stat info{};
  if (::stat(file.c_str(), &info) != 0)
    return std::unexpected(file_error("open key file", file, errno));
  if (info.st_uid != ::geteuid() && info.st_uid != 0) {
    return fail(Code::kPermissionDenied,
                fmt::format("key file '{}' belongs to another user; make it your own", file));
  }
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return fail(Code::kPermissionDenied,
                fmt::format("key file '{}' is open to others (mode {:03o}); run: chmod 600 '{}'",
                            file, info.st_mode & 0777U, file));
  }
  return {};
}

}  // namespace

Result<std::string> read_api_key(const std::string& env, const std::string& file,
                                 std::string_view whose) {
  if (!env.empty()) {
    const char* const value = std::getenv(env.c_str());
    const std::string place = fmt::format("the environment variable {}", env);
    if (value == nullptr) {
      return fail(Code::kNotFound,
                  fmt::format("{}, which should hold {} API key, is not set", place, whose));
    }
    return checked(value, place);
  }
  if (file.empty()) return std::string();
  HEARTH_TRY_VOID(check_permissions(file));
  HEARTH_TRY(const std::string text, read_file(file, kKeyBytesMax * 2));
  return checked(text, fmt::format("key file '{}'", file));
}

}  // namespace hearth::advisor
