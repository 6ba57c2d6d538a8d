#include "cli/mcp_lines.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "api/mcp/message.h"
#include "cli/terminal.h"

namespace hearth::cli {

std::optional<std::string> LineReader::next() {
  while (true) {
    if (auto line = take_line()) {
      if (line->find_first_not_of(" \t\r") != std::string::npos) return line;
      continue;
    }
    if (is_at_end_) return std::nullopt;
    char piece[1 << 16];
    const ssize_t n = ::read(descriptor_, piece, sizeof piece);
    if (n < 0 && errno == EINTR) continue;
    if (n > 0) {
      buffer_.append(piece, static_cast<std::size_t>(n));
      continue;
    }
    is_at_end_ = true;
    if (!buffer_.empty()) buffer_ += '\n';  // A last line without its end.
  }
}

std::optional<std::string> LineReader::take_line() {
  const std::size_t end = buffer_.find('\n', n_searched_);
  if (end == std::string::npos && buffer_.size() <= api::mcp::kMessageBytesMax) {
    n_searched_ = buffer_.size();
    return std::nullopt;
  }
  const bool is_whole = end != std::string::npos;
  std::string line = buffer_.substr(0, std::min(is_whole ? end : buffer_.size(), api::mcp::kMessageBytesMax + 1));
  buffer_.erase(0, is_whole ? end + 1 : buffer_.size());
  n_searched_ = 0;
  const bool is_rest = std::exchange(is_skipping_, !is_whole);
  return is_rest ? std::string() : line;
}

void LineWriter::write(std::string_view message) {
  std::string line(message);
  std::ranges::replace_if(line, [](char c) { return c == '\n' || c == '\r'; }, ' ');
  line += '\n';
  const std::lock_guard lock(mutex_);
  print_out(line);
}

}  // namespace hearth::cli
