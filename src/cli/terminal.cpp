#include "cli/terminal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/utf8.h"

namespace hearth::cli {
namespace {

std::string for_reader(int descriptor, std::string_view text) {
  return ::isatty(descriptor) == 1 ? without_commands(text) : std::string(text);
}

bool is_command(std::string_view text, char32_t c) {
  if (c == '\n' || c == '\t' || text.starts_with("\r\n")) return false;
  const bool turns_letters = (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || turns_letters;
}

// Code points, as a stand-in for columns: right for all but wide scripts and combining marks.
std::size_t columns_of(std::string_view text) {
  std::size_t n = 0;
  for (; !text.empty(); ++n) text.remove_prefix(decode_utf8(text).length);
  return n;
}

}  // namespace

bool use_colour(int descriptor) {
  const char* no_colour = std::getenv("NO_COLOR");
  if (no_colour != nullptr && *no_colour != '\0') return false;
  return ::isatty(descriptor) == 1;
}

std::string faint(std::string_view text) {
  return use_colour(2) ? fmt::format("\033[2m{}\033[0m", text) : std::string(text);
}

void print_error(const Error& error) {
  std::fprintf(stderr, "%s%s\n", use_colour(2) ? "\033[31mhearth:\033[0m " : "hearth: ",
               for_reader(STDERR_FILENO, error.message).c_str());
  if (error.code == Code::kInternal) {
    std::fprintf(stderr, "hint: this is worth a bug report; it was raised at %s:%u\n",
                 error.where.file_name(), static_cast<unsigned>(error.where.line()));
  }
}

void print_note(std::string_view text) { print_faint(std::string(text) + "\n"); }

void print_faint(std::string_view text) { std::fputs(faint(for_reader(STDERR_FILENO, text)).c_str(), stderr); }

std::string without_commands(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    if (!c.valid) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text.front()));
    } else if (is_command(text, c.code_point)) {
      out += fmt::format("\\x{:02x}", static_cast<std::uint32_t>(c.code_point));
    } else {
      out += text.substr(0, c.length);
    }
    text.remove_prefix(c.length);
  }
  return out;
}

bool print_out(std::string_view text) {
  std::string safe;
  if (::isatty(STDOUT_FILENO) == 1) text = safe = without_commands(text);
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
}

std::string format_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns_of(row[i]));
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - columns_of(row[i]) + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string format_bytes(std::uint64_t bytes) {
  static constexpr std::string_view kUnits[] = {"B", "KB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 999.5 && unit + 1 < std::size(kUnits); ++unit) value /= 1000;
  return unit == 0 ? fmt::format("{} B", bytes)
                   : fmt::format("{:.{}f} {}", value, value < 9.95 ? 1 : 0, kUnits[unit]);
}

std::string format_usd(std::int64_t usd_micro) {
  return fmt::format("${}.{:06}", usd_micro / 1'000'000, usd_micro % 1'000'000);
}

}  // namespace hearth::cli
