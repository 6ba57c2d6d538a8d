#include "advisor/append_line.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "base/file.h"

namespace hearth::advisor {

Result<> append_line(const std::filesystem::path& file, std::string_view line) {
  std::error_code error;
  std::filesystem::create_directories(file.parent_path(), error);
  const std::string bytes = std::string(line) + "\n";
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) return std::unexpected(file_error("can't open", file, errno));
  const ssize_t n = ::write(descriptor, bytes.data(), bytes.size());
  const int problem = n < 0 ? errno : EIO;
  ::close(descriptor);
  if (n == static_cast<ssize_t>(bytes.size())) return {};
  return std::unexpected(file_error("can't append to", file, problem));
}

}  // namespace hearth::advisor
