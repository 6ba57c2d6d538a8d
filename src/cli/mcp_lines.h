// Messages as lines of standard input and output.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace hearth::cli {

// Threading: one thread.
class LineReader {
 public:
  explicit LineReader(int descriptor) : descriptor_(descriptor) {}

  // The next line that is not empty, without its end; nothing at the end of the input.  A line of more than
  // kMessageBytesMax is cut off a byte behind that, and what follows of it is skipped.
  std::optional<std::string> next();

 private:
  std::optional<std::string> take_line();

  const int descriptor_;
  std::string buffer_;
  std::size_t n_searched_ = 0;  // Of the buffer: no end of a line is there.
  bool is_skipping_ = false, is_at_end_ = false;
};

// Writes whole lines to standard output.  Threading: any thread.
class LineWriter {
 public:
  void write(std::string_view message);  // Line breaks in it become spaces: in JSON they mean nothing.

 private:
  std::mutex mutex_;
};

}  // namespace hearth::cli
