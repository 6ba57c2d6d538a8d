// Lines from a person at a terminal: edited with the usual keys, remembered over sessions, completed by Tab.
//
// A message may have several lines: Alt + Enter begins a new one, a backslash at a line's end does too, and what
// is pasted stays together.  A line that begins with a space is not remembered.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::cli {

enum class LineEnd : std::uint8_t {
  kLine,
  kInterrupted,  // Ctrl-C at the prompt; what was typed is gone.
  kEnd,          // Ctrl-D on an empty line, or the terminal is gone.
};

// Threading: one thread, the one that answers Ctrl-C (interrupt.h).
class LineEditor {
 public:
  // All that could stand in place of `before`, the text up to the cursor.
  using Complete = std::function<std::vector<std::string>(std::string_view before)>;

  // Reads standard input, which must be a terminal, and shows on standard output, or on standard error where the
  // output is none.  Lines are remembered in `history`, for this user alone
  // (mode 0600); without a path, for this session.
  LineEditor(std::filesystem::path history, Complete complete);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  // `line` is UTF-8 without the last line's end.
  LineEnd read(std::string& line);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hearth::cli
