#include "compute/source_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/utf8.h"
#include "compute/contract.h"

namespace hearth::compute {
namespace {

constexpr std::array<std::string_view, 10> kDirectives = {
    "define", "undef", "if", "ifdef", "ifndef", "elif", "else", "endif", "error", ""};
constexpr std::string_view kOwnHeaders[] = {"\"hearth.h\"", "<hearth.h>", "\"prelude.h\"",
                                            "<prelude.h>"};

std::string_view without_spaces(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t' || text.front() == '\f' ||
                           text.front() == '\v'))
    text.remove_prefix(1);
  return text;
}

std::string_view word_of(std::string_view text) {
  std::size_t n = 0;
  while (n < text.size() && ((text[n] >= 'a' && text[n] <= 'z') ||
                             (text[n] >= 'A' && text[n] <= 'Z') || text[n] == '_'))
    ++n;
  return text.substr(0, n);
}

// What follows '#' or '%:' at a line's begin; nothing for a line that is no directive.
bool is_directive(std::string_view line, std::string_view& rest) {
  line = without_spaces(line);
  const std::size_t n = line.starts_with('#') ? 1 : line.starts_with("%:") ? 2 : 0;
  rest = without_spaces(line.substr(n));
  return n != 0;
}

Result<> check_directive(std::string_view rest, std::string_view name, std::size_t number) {
  const std::string_view word = word_of(rest);
  if (word.starts_with("include") || word == "import" || word == "embed") {
    return fail(Code::kInvalidArgument, fmt::format("{}:{}: a kernel includes nothing: the prelude "
                                                    "is there already, and there are no headers",
                                                    name, number));
  }
  if (word == "pragma") {
    const std::string_view after = without_spaces(rest.substr(word.size()));
    const bool is_fine = after.starts_with("GCC ivdep") || after.starts_with("GCC unroll") ||
                         after.starts_with("omp simd") || after.starts_with("once") ||
                         after.starts_with("unroll") || after.starts_with("OPENCL EXTENSION") ||
                         after.starts_with("OPENCL FP_CONTRACT");
    if (!is_fine)
      return fail(
          Code::kInvalidArgument,
          fmt::format("{}:{}: of pragmas a kernel may use 'GCC ivdep' and 'GCC unroll'", name,
                      number));
    return {};
  }
  if (std::ranges::find(kDirectives, word) == kDirectives.end() ||
      (word.empty() && !rest.empty())) {
    return fail(Code::kInvalidArgument,
                fmt::format("{}:{}: the directive '#{}' is not for kernels", name, number,
                            word.empty() ? rest.substr(0, 16) : word));
  }
  return {};
}

// What a compiler skips between '#' and its word: spaces, comments, ends of lines behind a backslash.
std::string_view skip_to_word(std::string_view text) {
  for (std::size_t before = text.size() + 1; text.size() < before;) {
    before = text.size();
    text = without_spaces(text);
    if (text.starts_with("/*")) {
      const std::size_t end = text.find("*/", 2);
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 2);
    } else if (text.starts_with("\\\n")) {
      text.remove_prefix(2);
    }
  }
  return text;
}

// Every '#' or '%:', wherever it stands, even in a text: nothing that reads a file may follow it.
Result<> check_inclusions(std::string_view source, std::string_view name) {
  std::size_t number = 1;
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\n') ++number;
    const bool is_digraph = source.substr(i).starts_with("%:");
    if (source[i] != '#' && !is_digraph) continue;
    std::string word;
    std::string_view rest = skip_to_word(source.substr(i + (is_digraph ? 2 : 1)));
    while (true) {
      const std::string_view piece = word_of(rest);
      word += piece;
      rest.remove_prefix(piece.size());
      if (piece.empty() && !rest.starts_with("\\\n")) break;
      if (piece.empty()) rest.remove_prefix(2);
    }
    if (word.starts_with("include") || word == "import" || word == "embed")
      HEARTH_TRY_VOID(check_directive(word, name, number));
  }
  return {};
}

Result<std::string> check_lines(std::string_view source, std::string_view name) {
  if (source.size() > kSourceBytesMax)
    return fail(Code::kInvalidArgument,
                fmt::format("the source has {} bytes, at most {} are compiled", source.size(),
                            kSourceBytesMax));
  if (source.find('\0') != std::string_view::npos || !is_valid_utf8(source))
    return fail(Code::kInvalidArgument, "the source is no UTF-8 text");
  if (source.find("?\?/") != std::string_view::npos ||
      source.find("?\?=") != std::string_view::npos)
    return fail(Code::kInvalidArgument,
                "the source has trigraphs, which are no part of C++ any more");
  std::string out;
  std::size_t number = 0;
  bool continues = false;  // A line that a backslash joined to the one before begins nothing.
  while (!source.empty()) {
    const std::size_t end = std::min(source.find('\n'), source.size());
    std::string_view line = source.substr(0, end);
    source.remove_prefix(std::min(end + 1, source.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    ++number;
    std::string_view rest;
    if (!continues && is_directive(line, rest)) {
      const bool is_own = word_of(rest) == "include" &&
                          std::ranges::any_of(kOwnHeaders, [&](std::string_view header) {
                            return without_spaces(rest.substr(7)).starts_with(header);
                          });
      if (is_own) {
        line = "";
      } else {
        HEARTH_TRY_VOID(check_directive(rest, name, number));
        // A directive whose word a backslash cuts in two.
        if (line.ends_with('\\') && word_of(rest) != "define")
          return fail(
              Code::kInvalidArgument,
              fmt::format("{}:{}: only '#define' may go on in the next line", name, number));
      }
    } else if (!continues && (without_spaces(line) == "\\" || without_spaces(line) == "%\\")) {
      return fail(Code::kInvalidArgument,
                  fmt::format("{}:{}: a line that is nothing but a backslash", name, number));
    }
    continues = line.ends_with('\\');
    out += line;
    out += '\n';
  }
  return out;
}

}  // namespace

Result<std::string> check_source(std::string_view source) {
  return check_lines(source, "kernel.cpp");
}

Result<std::string> check_device_source(std::string_view source, std::string_view name) {
  HEARTH_TRY(std::string checked, check_lines(source, name));
  HEARTH_TRY_VOID(check_inclusions(checked, name));
  return checked;
}

}  // namespace hearth::compute
