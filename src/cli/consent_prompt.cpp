#include "cli/consent_prompt.h"

#include <fmt/format.h>

#include <cstdio>
#include <memory>

#include "cli/terminal.h"

namespace hearth::cli {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

}  // namespace

std::string departure_text(const advisor::Departure& departure) {
  return fmt::format("to {}/{} at {}, at most {}\n{}\n{}\n", departure.provider, departure.model, departure.url,
                     format_usd(departure.worst_usd_micro), departure.label, without_commands(departure.body));
}

ConsentReply ask_for_consent(const advisor::Departure& departure) {
  const File out(std::fopen("/dev/tty", "we")), in(std::fopen("/dev/tty", "re"));
  if (out == nullptr || in == nullptr) {
    print_note(fmt::format("{} may leave only where somebody agrees, and there is no terminal to ask on", departure.label));
    return {};
  }
  if (departure.body.empty()) {
    print_note("a call waits for consent that is too long to be shown here: GET /hearth/v1/consents shows it");
    return {};
  }
  fmt::print(out.get(), "\nThis waits for your consent:\n{}\nSend it? [y]es, [n]o, [a]lways or n[e]ver by this rule: ",
             departure_text(departure));
  std::fflush(out.get());
  char line[64] = "";
  if (std::fgets(line, sizeof line, in.get()) == nullptr) return {};
  switch (line[0]) {
    case 'y': return {.is_allowed = true, .is_remembered = false};
    case 'a': return {.is_allowed = true, .is_remembered = true};
    case 'e': return {.is_allowed = false, .is_remembered = true};
    default: return {};
  }
}

}  // namespace hearth::cli
