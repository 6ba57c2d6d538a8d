#include "ledger/head_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <string>

#include "base/file.h"

namespace hearth::ledger {
namespace {

constexpr std::size_t kSeqDigits = 20;
constexpr std::size_t kHashDigits = 64;
constexpr std::size_t kLineBytes = kSeqDigits + 1 + kHashDigits + 1;

bool parse_hash(std::string_view digits, Sha256& hash) {
  for (std::size_t i = 0; i < hash.size(); ++i) {
    const char* const first = digits.data() + 2 * i;
    const auto parsed = std::from_chars(first, first + 2, hash[i], 16);
    if (parsed.ptr != first + 2) return false;
  }
  return true;
}

bool parse_line(std::string_view line, ChainHead& head) {
  if (line.size() != kLineBytes || line[kSeqDigits] != ' ' || line.back() != '\n') return false;
  const auto parsed = std::from_chars(line.data(), line.data() + kSeqDigits, head.seq);
  return parsed.ec == std::errc{} && parsed.ptr == line.data() + kSeqDigits && head.seq >= 0 &&
         parse_hash(line.substr(kSeqDigits + 1), head.hash);
}

}  // namespace

HeadFile::HeadFile(const std::filesystem::path& ledger_path)
    : path_(ledger_path.string() + ".head") {}

HeadFile::~HeadFile() {
  if (fd_ >= 0) ::close(fd_);
}

Result<std::optional<ChainHead>> HeadFile::read() const {
  const auto line = read_file(path_, 4096);
  if (!line && line.error().code == Code::kNotFound) return std::optional<ChainHead>();
  if (!line) return std::unexpected(line.error());
  ChainHead head;
  if (!parse_line(*line, head)) {
    return fail(Code::kCorrupt, fmt::format("'{}' is not a ledger's head", path_.string()));
  }
  return std::optional(head);
}

Result<> HeadFile::write(const ChainHead& head) {
  if (fd_ < 0) fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd_ < 0) return std::unexpected(file_error("open", path_, errno));
  const std::string line = fmt::format("{:020} {}\n", head.seq, to_hex(head.hash));
  if (::pwrite(fd_, line.data(), line.size(), 0) != static_cast<ssize_t>(line.size())) {
    return std::unexpected(file_error("write", path_, errno));
  }
  return {};
}

}  // namespace hearth::ledger
