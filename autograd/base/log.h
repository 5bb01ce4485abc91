// Log lines: to the terminal (stderr) and, once a run has a folder, to its log.txt. The only door to spdlog is log.cpp.
#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <functional>
#include <string_view>
#include <utility>

namespace qad {

enum class LogLevel { debug, info, warning, error };

void log_line(LogLevel level, std::string_view text);
/// From now on every line goes to this file as well (appended); an empty path ends that. A line that can't be written
/// is an Error of whoever logs it.
void log_to_file(const std::filesystem::path& file);
/// The least level that reaches the terminal; the file gets everything from `info` up.
void set_terminal_log_level(LogLevel level);
/// Called before a line reaches the terminal, for whoever has drawn there (a progress bar erases itself); empty: no
/// one.
void before_terminal_lines(std::function<void()> hook);

template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::info, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::warning, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace qad
