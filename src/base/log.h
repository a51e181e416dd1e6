#pragma once
#include <string_view>

namespace omni {

enum class LogLevel { kQuiet, kError, kWarning, kInfo, kDebug };

// The program's only global: where messages for people go (stderr). Results never go there.
void set_log_level(LogLevel level);
void log_info(std::string_view text);
void log_warning(std::string_view text);

}  // namespace omni
