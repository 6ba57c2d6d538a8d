// The log: one line per event on standard error (spdlog underneath, in log.cpp alone).
//
// Libraries log rarely and never print; what a caller should know is in a Result.
// Never log a key, a prompt or an answer.  Format with fmt at the call site:
//   log_info("server", fmt::format("listening on {}:{}", host, port));
#pragma once

#include <string_view>

namespace hearth {

enum class LogLevel { kDebug, kInfo, kWarn, kError, kOff };

// Default: kWarn, so that command-line output stays clean; `hearth serve` sets kInfo.
// Threading: all functions here may be called from any thread.
void set_log_level(LogLevel level);

// `room` is the folder's name under src/.
void log_debug(std::string_view room, std::string_view message);
void log_info(std::string_view room, std::string_view message);
void log_warn(std::string_view room, std::string_view message);
void log_error(std::string_view room, std::string_view message);

}  // namespace hearth
