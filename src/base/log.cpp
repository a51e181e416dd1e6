#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

namespace omni {
namespace {

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto made = std::make_shared<spdlog::logger>("omni", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    made->set_pattern("omni: %v");
    return made;
  }();
  return *instance;
}

}  // namespace

void set_log_level(LogLevel level) {
  switch (level) {
    case LogLevel::kQuiet:
      logger().set_level(spdlog::level::off);
      break;
    case LogLevel::kError:
      logger().set_level(spdlog::level::err);
      break;
    case LogLevel::kWarning:
      logger().set_level(spdlog::level::warn);
      break;
    case LogLevel::kInfo:
      logger().set_level(spdlog::level::info);
      break;
    case LogLevel::kDebug:
      logger().set_level(spdlog::level::debug);
      break;
  }
}

void log_info(std::string_view text) {
  logger().info("{}", text);
}
void log_warning(std::string_view text) {
  logger().warn("warning: {}", text);
}

}  // namespace omni
