#include "cli/line_editor.h"

#include <fmt/format.h>
#include <histedit.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <clocale>
#include <cstdio>
#include <cwchar>
#include <iterator>
#include <system_error>
#include <utility>

#include "base/utf8.h"
#include "base/utf8_bounds.h"
#include "cli/interrupt.h"
#include "cli/terminal.h"

namespace hearth::cli {
namespace {

constexpr int kRemembered = 1000;
constexpr std::size_t kPasteCharactersMax = std::size_t{1} << 20;
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

// One byte of standard input: 1; 0 at its end, -1 at a Ctrl-C.
int read_byte(unsigned char& byte) {
  for (;;) {
    pollfd waits[] = {{.fd = interrupt_descriptor(), .events = POLLIN, .revents = 0},
                      {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0}};
    if (::poll(waits, std::size(waits), -1) <= 0) continue;  // A signal.
    if (waits[0].revents != 0) {
      if (take_interrupt()) return -1;
      continue;  // Another has taken it.
    }
    const ssize_t n = ::read(STDIN_FILENO, &byte, 1);
    return n > 0 ? 1 : 0;  // A terminal that is gone has ended, too.
  }
}

}  // namespace

struct LineEditor::State {
  // Where the line is shown: answers may go elsewhere than to the terminal.
  FILE* const shown = ::isatty(STDOUT_FILENO) == 1 ? stdout : stderr;
  std::filesystem::path history_path;
  Complete complete;
  EditLine* line = nullptr;
  HistoryW* history = nullptr;
  bool goes_on = false;  // After a backslash.
  bool is_interrupted = false;

  // What keys do, and what libedit asks for.
  static wchar_t* show_prompt(EditLine* line);
  static int read_character(EditLine* line, wchar_t* out);
  static unsigned char begin_line(EditLine* line, wint_t);
  static unsigned char take_paste(EditLine* line, wint_t);
  static unsigned char complete_word(EditLine* line, wint_t);

  static State& of(EditLine* line) {
    void* self = nullptr;
    el_wget(line, EL_CLIENTDATA, &self);
    return *static_cast<State*>(self);
  }

  void show(std::string_view text) const {
    std::fwrite(text.data(), 1, text.size(), shown);
    std::fflush(shown);
  }

  void remember(const std::string& text) const {
    if (text.empty() || text.front() == ' ') return;
    HistEventW event;
    history_w(history, &event, H_ENTER, to_wide(text).c_str());
    if (history_path.empty()) return;
    history_w(history, &event, H_SAVE, history_path.c_str());
  }
};

// In place of libedit's own function, which begins anew after a signal: a Ctrl-C would go unnoticed.
int LineEditor::State::read_character(EditLine* line, wchar_t* out) {
  std::string bytes;
  for (std::size_t length = 1; bytes.size() < length;) {
    unsigned char byte = 0;
    if (const int n = read_byte(byte); n != 1) {
      of(line).is_interrupted = n < 0;
      return n;
    }
    if (bytes.empty()) length = byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
    bytes += static_cast<char>(byte);
  }
  *out = static_cast<wchar_t>(decode_utf8(bytes).code_point);
  return 1;
}

wchar_t* LineEditor::State::show_prompt(EditLine* line) {
  static wchar_t plain[] = L"> ", plain_rest[] = L"… ";
  // Between two \1 stands what takes no room.
  static wchar_t coloured[] = L"\1\033[1;36m\1> \1\033[0m\1", coloured_rest[] = L"\1\033[36m\1… \1\033[0m\1";
  const bool goes_on = of(line).goes_on;
  if (use_colour(::fileno(of(line).shown))) return goes_on ? coloured_rest : coloured;
  return goes_on ? plain_rest : plain;
}

unsigned char LineEditor::State::begin_line(EditLine* line, wint_t) { return el_winsertstr(line, L"\n") == 0 ? CC_REFRESH : CC_ERROR; }

// What the terminal pastes comes between two marks; all of it is text, its line ends too.
unsigned char LineEditor::State::take_paste(EditLine* line, wint_t) {
  std::wstring text;
  const std::wstring_view end = kPasteEnd;
  bool is_too_long = false;
  for (wchar_t c = 0; !text.ends_with(end);) {
    if (el_wgetc(line, &c) != 1) return CC_ERROR;
    text += c == L'\r' ? L'\n' : c;
    if (text.size() < kPasteCharactersMax) continue;
    is_too_long = true;
    text.erase(0, text.size() - end.size());  // Of the rest only its end matters.
  }
  if (is_too_long) {
    print_note(fmt::format("\nwhat was pasted has more than {} characters, and was not taken", kPasteCharactersMax));
    return CC_REDISPLAY;
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
  common.resize(utf8_bound_up_to(found.front(), common.size()));
  if (common.size() > before.size()) {
    const std::wstring rest = to_wide(std::string_view(common).substr(before.size()));
    return el_winsertstr(line, rest.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
  }
  std::string list = "\n";
  for (const std::string& one : found) list += one + "\n";
  of(line).show(without_commands(list));
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

  EditLine* const line = state_->line = el_init("hearth", stdin, state_->shown, stderr);
  el_wset(line, EL_CLIENTDATA, state_.get());
  el_wset(line, EL_EDITOR, L"emacs");
  el_wset(line, EL_SIGNAL, 0);
  el_wset(line, EL_PROMPT_ESC, &State::show_prompt, L'\1');
  el_wset(line, EL_HIST, history_w, state_->history);
  el_wset(line, EL_GETCFN, &State::read_character);
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
  state_->goes_on = state_->is_interrupted = false;
  for (;;) {
    state_->show(kPastesOn);
    el_resize(state_->line);
    int n = 0;
    const wchar_t* const text = el_wgets(state_->line, &n);
    state_->show(kPastesOff);
    if (text == nullptr || n <= 0) {
      state_->show("\n");
      return state_->is_interrupted ? LineEnd::kInterrupted : LineEnd::kEnd;
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
