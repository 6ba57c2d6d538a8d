#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

namespace hearth {
namespace {

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto made = std::make_shared<spdlog::logger>(
        "hearth", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%e %L %v");
    made->set_level(spdlog::level::warn);
    return made;
  }();
  return *instance;
}

void write(spdlog::level::level_enum level, std::string_view room, std::string_view message) {
  logger().log(level, "[{}] {}", room, message);
}

}  // namespace

void set_log_level(LogLevel level) {
  static constexpr spdlog::level::level_enum kLevels[] = {
      spdlog::level::debug, spdlog::level::info, spdlog::level::warn, spdlog::level::err,
      spdlog::level::off};
  logger().set_level(kLevels[static_cast<int>(level)]);
}

void log_debug(std::string_view room, std::string_view message) {
  write(spdlog::level::debug, room, message);
}
void log_info(std::string_view room, std::string_view message) {
  write(spdlog::level::info, room, message);
}
void log_warn(std::string_view room, std::string_view message) {
  write(spdlog::level::warn, room, message);
}
void log_error(std::string_view room, std::string_view message) {
  write(spdlog::level::err, room, message);
}

}  // namespace hearth
