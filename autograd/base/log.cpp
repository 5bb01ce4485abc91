#include "autograd/base/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

#include "autograd/base/atomic_file.h"
#include "autograd/base/terminal.h"

namespace qad {
namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::debug: return spdlog::level::debug;
    case LogLevel::info: return spdlog::level::info;
    case LogLevel::warning: return spdlog::level::warn;
    case LogLevel::error: return spdlog::level::err;
  }
  return spdlog::level::info;
}

struct Sinks {
  std::shared_ptr<spdlog::sinks::stderr_color_sink_mt> terminal =
      std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  std::filesystem::path file;
  spdlog::pattern_formatter file_pattern{"%Y-%m-%d %H:%M:%S %l %v", spdlog::pattern_time_type::local, ""};
  std::function<void()> before_terminal_lines;
  Sinks() {
    terminal->set_pattern("%^%L%$ %v");
    terminal->set_color_mode(stderr_takes_escapes() ? spdlog::color_mode::always : spdlog::color_mode::never);
  }
};

Sinks& sinks() {
  static Sinks instance;
  return instance;
}

}  // namespace

void log_line(LogLevel level, std::string_view text) {
  const spdlog::details::log_msg message("qad", to_spdlog(level), spdlog::string_view_t(text.data(), text.size()));
  if (sinks().terminal->should_log(message.level)) {
    if (sinks().before_terminal_lines) sinks().before_terminal_lines();
    sinks().terminal->log(message);
  }
  if (!sinks().file.empty() && message.level >= spdlog::level::info) {
    spdlog::memory_buf_t line;
    sinks().file_pattern.format(message, line);
    append_line(sinks().file, {line.data(), line.size()});
  }
}

void log_to_file(const std::filesystem::path& file) { sinks().file = file; }

void before_terminal_lines(std::function<void()> hook) { sinks().before_terminal_lines = std::move(hook); }

void set_terminal_log_level(LogLevel level) { sinks().terminal->set_level(to_spdlog(level)); }

}  // namespace qad
