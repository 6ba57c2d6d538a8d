#include "cli/line_editor.h"

#include <fmt/format.h>
#include <histedit.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cwchar>
#include <system_error>
#include <utility>

#include "base/utf8.h"
#include "cli/interrupt.h"
#include "cli/terminal.h"

namespace hearth::cli {
namespace {

constexpr int kRemembered = 1000;
constexpr std::size_t kPasteBytesMax = std::size_t{1} << 20;
constexpr wchar_t kPasteEnd[] = L"\033[201~";
// Ask the terminal to say where a paste begins and ends.
constexpr std::string_view kPastesOn = "\033[?2004h", kPastesOff = "\033[?2004l";

std::string to_utf8(std::wstring_view text) {
  std::string out;
  for (const wchar_t c : text) append_utf8(out, static_cast<char32_t>(c));
  return out;
}

std::wstring to_wide(std::string_view text) {
  std::wstring out;
  while (!text.empty()) {
    const Utf8Char next = decode_utf8(text);
    out += static_cast<wchar_t>(next.code_point);
    text.remove_prefix(next.length);
  }
  return out;
}

// Cursor columns are counted by the C library, which knows letters beyond ASCII in a UTF-8 locale alone.
void know_utf8() {
  if (std::setlocale(LC_CTYPE, "") == nullptr || MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");
}

// One byte of standard input; nothing at its end or at a Ctrl-C.
int read_byte(unsigned char& byte) {
  for (;;) {
    const ssize_t n = ::read(STDIN_FILENO, &byte, 1);
    if (n == 1) return 1;
    if (n == 0) return 0;
    if (errno != EINTR || is_interrupted()) return -1;
  }
}

// What libedit reads with.  Its own function begins anew after a signal, and a Ctrl-C would go unnoticed.
int read_character(EditLine*, wchar_t* out) {
  unsigned char byte = 0;
  if (const int n = read_byte(byte); n != 1) return n;
  std::string bytes(1, static_cast<char>(byte));
  const std::size_t length = byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
  while (bytes.size() < length) {
    if (const int n = read_byte(byte); n != 1) return n;
    bytes += static_cast<char>(byte);
  }
  *out = static_cast<wchar_t>(decode_utf8(bytes).code_point);
  return 1;
}

}  // namespace

struct LineEditor::State {
  std::filesystem::path history_path;
  Complete complete;
  EditLine* line = nullptr;
  HistoryW* history = nullptr;
  bool goes_on = false;  // After a backslash.

  // What keys do, and what libedit asks for.
  static wchar_t* show_prompt(EditLine* line);
  static unsigned char begin_line(EditLine* line, wint_t);
  static unsigned char take_paste(EditLine* line, wint_t);
  static unsigned char complete_word(EditLine* line, wint_t);

  static State& of(EditLine* line) {
    void* self = nullptr;
    el_wget(line, EL_CLIENTDATA, &self);
    return *static_cast<State*>(self);
  }

  void remember(const std::string& text) const {
    if (text.empty() || text.front() == ' ') return;
    HistEventW event;
    history_w(history, &event, H_ENTER, to_wide(text).c_str());
    if (history_path.empty()) return;
    history_w(history, &event, H_SAVE, history_path.c_str());
  }
};

wchar_t* LineEditor::State::show_prompt(EditLine* line) {
  static wchar_t plain[] = L"> ", plain_rest[] = L"… ";
  // Between two \1 stands what takes no room.
  static wchar_t coloured[] = L"\1\033[1;36m\1> \1\033[0m\1", coloured_rest[] = L"\1\033[36m\1… \1\033[0m\1";
  const bool goes_on = of(line).goes_on;
  if (use_colour(STDOUT_FILENO)) return goes_on ? coloured_rest : coloured;
  return goes_on ? plain_rest : plain;
}

unsigned char LineEditor::State::begin_line(EditLine* line, wint_t) { return el_winsertstr(line, L"\n") == 0 ? CC_REFRESH : CC_ERROR; }

// What the terminal pastes comes between two marks; all of it is text, its line ends too.
unsigned char LineEditor::State::take_paste(EditLine* line, wint_t) {
  std::wstring text;
  const std::wstring_view end = kPasteEnd;
  for (wchar_t c = 0; !text.ends_with(end);) {
    if (text.size() > kPasteBytesMax || el_wgetc(line, &c) != 1) return CC_ERROR;
    text += c == L'\r' ? L'\n' : c;
  }
  text.resize(text.size() - end.size());
  std::erase_if(text, [](wchar_t c) { return (c < L' ' && c != L'\n' && c != L'\t') || c == 0x7F; });
  if (text.empty()) return CC_NORM;
  return el_winsertstr(line, text.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
}

// Adds what all completions have in common; shows them where that is nothing.
unsigned char LineEditor::State::complete_word(EditLine* line, wint_t) {
  const LineInfoW* const info = el_wline(line);
  const std::string before = to_utf8({info->buffer, static_cast<std::size_t>(info->cursor - info->buffer)});
  const std::vector<std::string> found = of(line).complete(before);
  if (found.empty()) return CC_ERROR;
  std::string common = found.front();
  for (const std::string& one : found) {
    common.resize(static_cast<std::size_t>(std::ranges::mismatch(common, one).in1 - common.begin()));
  }
  const std::size_t kept = complete_utf8_prefix(common);
  if (kept > before.size()) {
    const std::wstring rest = to_wide(std::string_view(common).substr(before.size(), kept - before.size()));
    return el_winsertstr(line, rest.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
  }
  std::string list = "\n";
  for (const std::string& one : found) list += one + "\n";
  print_out(list);
  return CC_REDISPLAY;
}

LineEditor::LineEditor(std::filesystem::path history, Complete complete) : state_(std::make_unique<State>()) {
  know_utf8();
  state_->history_path = std::move(history);
  state_->complete = std::move(complete);
  state_->history = history_winit();
  HistEventW event;
  history_w(state_->history, &event, H_SETSIZE, kRemembered);
  history_w(state_->history, &event, H_SETUNIQUE, 1);
  if (!state_->history_path.empty()) {
    std::error_code ignored;
    std::filesystem::create_directories(state_->history_path.parent_path(), ignored);
    history_w(state_->history, &event, H_LOAD, state_->history_path.c_str());
  }

  EditLine* const line = state_->line = el_init("hearth", stdin, stdout, stderr);
  el_wset(line, EL_CLIENTDATA, state_.get());
  el_wset(line, EL_EDITOR, L"emacs");
  el_wset(line, EL_SIGNAL, 0);
  el_wset(line, EL_PROMPT_ESC, &State::show_prompt, L'\1');
  el_wset(line, EL_HIST, history_w, state_->history);
  el_wset(line, EL_GETCFN, &read_character);
  const struct {
    const wchar_t* name;
    const wchar_t* help;
    unsigned char (*run)(EditLine*, wint_t);
    std::vector<const wchar_t*> keys;
  } added[] = {
      {L"hearth-begin-line", L"Begin another line", &State::begin_line, {L"\\e\\r", L"\\e\\n"}},
      {L"hearth-paste", L"Take what is pasted", &State::take_paste, {L"\\e[200~"}},
      {L"hearth-complete", L"Complete the word", &State::complete_word, {L"\\t"}},
  };
  for (const auto& action : added) {
    el_wset(line, EL_ADDFN, action.name, action.help, action.run);
    for (const wchar_t* key : action.keys) el_wset(line, EL_BIND, key, action.name, nullptr);
  }
}

LineEditor::~LineEditor() {
  el_end(state_->line);
  history_wend(state_->history);
}

LineEnd LineEditor::read(std::string& line) {
  line.clear();
  state_->goes_on = false;
  for (;;) {
    print_out(kPastesOn);
    el_resize(state_->line);
    int n = 0;
    const wchar_t* const text = el_wgets(state_->line, &n);
    print_out(kPastesOff);
    if (text == nullptr || n <= 0) {
      print_out("\n");
      return take_interrupt() ? LineEnd::kInterrupted : LineEnd::kEnd;
    }
    line += to_utf8({text, static_cast<std::size_t>(n)});
    if (line.ends_with('\n')) line.pop_back();
    state_->goes_on = line.ends_with('\\');
    if (!state_->goes_on) break;
    line.back() = '\n';
  }
  state_->remember(line);
  return LineEnd::kLine;
}

}  // namespace hearth::cli
