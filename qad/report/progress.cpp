#include "qad/report/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <utility>

#include "autograd/base/log.h"
#include "autograd/base/terminal.h"
#include "qad/report/format.h"

namespace qad {
namespace {

constexpr double kRedrawSeconds = 0.1;
constexpr double kLineSeconds = 10.0;
constexpr int kWidestBar = 40, kNarrowestBar = 8;

constexpr std::string_view kDoneColour = "\x1b[36m", kRestColour = "\x1b[2m", kNoColour = "\x1b[0m";

std::string repeated(std::string_view text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

std::string bar(double fraction, int width, bool colour) {
  const int halves = static_cast<int>(std::floor(std::clamp(fraction, 0.0, 1.0) * 2.0 * width));
  const std::string done = repeated("━", halves / 2) + (halves % 2 == 1 ? "╸" : "");
  const std::string rest = repeated(colour ? "━" : "─", width - (halves + 1) / 2);
  if (!colour) return done + rest;
  return fmt::format("{}{}{}{}{}{}", kDoneColour, done, kNoColour, kRestColour, rest, kNoColour);
}

// What says most about a step: the loss of reinforcement learning hardly moves.
std::string progress_of(const StepDone& event) {
  if (!event.rollout) return "loss " + format_significant(event.loss);
  return fmt::format("reward {}, {} right", format_significant(event.rollout->reward),
                     format_percent(event.rollout->right));
}

}  // namespace

std::string Terminal::erase_line() const {
  if (escapes) return "\r\x1b[K";
  return "\r" + std::string(static_cast<std::size_t>(std::max(columns() - 1, 0)), ' ') + "\r";
}

Terminal stderr_terminal() {
  Terminal terminal;
  terminal.redraws = stderr_redraws();
  terminal.escapes = terminal.redraws && stderr_takes_escapes();
  terminal.columns = [] {
    winsize size{};
    return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? int{size.ws_col} : 80;
  };
  terminal.write = [](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
  };
  return terminal;
}

Progress::Progress(Terminal terminal, Clock clock, Clock seconds_left_in_all)
    : terminal_(std::move(terminal)),
      clock_(clock ? std::move(clock) : Clock(steady_seconds)),
      seconds_left_in_all_(std::move(seconds_left_in_all)),
      run_(clock_) {
  if (terminal_.redraws) before_terminal_lines([this] { clear(); });
}

Progress::~Progress() {
  clear();
  if (terminal_.redraws) before_terminal_lines({});
}

void Progress::run_started(const RunStarted& event) {
  run_.run_started(event);
  last_shown_ = -std::numeric_limits<double>::infinity();
}

void Progress::step_done(const StepDone& event) {
  run_.step_done(event);
  const double now = clock_();
  const bool is_last = event.step >= run_.planned_steps();
  if (!is_last && now - last_shown_ < (terminal_.redraws ? kRedrawSeconds : kLineSeconds)) return;
  last_shown_ = now;
  if (terminal_.redraws) {
    terminal_.write(terminal_.erase_line() + bar_line(event));
    is_drawn_ = true;
    return;
  }
  log_info("{}: step {}/{}, {}, {} tokens/s, {}", run_.name(), event.step, run_.planned_steps(), progress_of(event),
           format_count(event.tokens_per_second), time_left());
}

void Progress::eval_done(const EvalDone& event) {
  const EvalFigures& figures = event.figures;
  const std::string quality =
      std::isnan(figures.kl_mean)
          ? "held-out cross-entropy " + format_with_error(figures.cross_entropy, figures.cross_entropy_stderr)
          : fmt::format("held-out KL {}, top-1 {}", format_with_error(figures.kl_mean, figures.kl_mean_stderr),
                        format_percent(figures.top1_agreement));
  log_info("{}: step {}, {}{}", run_.name(), event.step, quality, event.best && event.step > 0 ? ", best so far" : "");
}

void Progress::run_finished(const RunFinished& event) {
  clear();
  std::string_view how = "done";
  if (event.end == RunEnd::early_stop) how = "stopped early";
  if (event.end == RunEnd::interrupted) how = "interrupted";
  if (event.end == RunEnd::diverged) how = "diverged";
  log_info("{}: {} after {} steps, {} tokens, {}", run_.name(), how, event.step,
           format_count(static_cast<double>(event.tokens)), format_duration(event.seconds));
}

std::string Progress::time_left() const {
  const double in_all = seconds_left_in_all_ ? seconds_left_in_all_() : std::numeric_limits<double>::quiet_NaN();
  return format_duration(run_.seconds_left()) + " left" +
         (std::isfinite(in_all) ? ", all arms: about " + format_duration(in_all) : "");
}

// As much as there is room for.
std::string Progress::bar_line(const StepDone& event) const {
  const std::string steps = fmt::format("{}/{}  {}", event.step, run_.planned_steps(), progress_of(event));
  const std::string left = time_left();
  const double fraction =
      static_cast<double>(event.step) / static_cast<double>(std::max<std::int64_t>(run_.planned_steps(), 1));
  // The last column stays empty: some terminals wrap as soon as it is written.
  const int columns = terminal_.columns() - 1;
  for (const std::string& figures :
       {fmt::format("  {}  {} tokens/s  {}", steps, format_count(event.tokens_per_second), left),
        fmt::format("  {}  {}", steps, left)}) {
    const int room = columns - display_width(run_.name()) - 1 - display_width(figures);
    if (room < kNarrowestBar) continue;
    return run_.name() + " " + bar(fraction, std::min(room, kWidestBar), terminal_.escapes) + figures;
  }
  for (const std::string& line : {fmt::format("{}  {}", steps, left), steps})
    if (display_width(line) <= columns) return line;
  return "";
}

void Progress::clear() {
  if (is_drawn_) terminal_.write(terminal_.erase_line());
  is_drawn_ = false;
}

CountProgress::CountProgress(Terminal terminal, std::string name, std::string unit, std::int64_t total,
                             Progress::Clock clock, std::string work)
    : terminal_(std::move(terminal)),
      clock_(clock ? std::move(clock) : Progress::Clock(steady_seconds)),
      name_(std::move(name)),
      unit_(std::move(unit)),
      work_(std::move(work)),
      total_(total),
      start_(clock_()),
      last_shown_(start_) {
  if (terminal_.redraws) before_terminal_lines([this] { clear(); });
}

CountProgress::~CountProgress() {
  clear();
  if (terminal_.redraws) before_terminal_lines({});
}

void CountProgress::update(std::int64_t done, std::int64_t worked) {
  const double now = clock_();
  if (now - last_shown_ < (terminal_.redraws ? kRedrawSeconds : kLineSeconds)) return;
  last_shown_ = now;
  const std::string text = figures(done, worked);
  if (!terminal_.redraws) {
    log_info("{}: {}", name_, text);
    return;
  }
  const int room = terminal_.columns() - 1 - display_width(name_) - 3 - display_width(text);
  const double fraction = static_cast<double>(done) / static_cast<double>(std::max<std::int64_t>(total_, 1));
  const std::string line =
      room < kNarrowestBar
          ? fmt::format("{}/{}", done, total_)
          : fmt::format("{} {}  {}", name_, bar(fraction, std::min(room, kWidestBar), terminal_.escapes), text);
  terminal_.write(terminal_.erase_line() + line);
  is_drawn_ = true;
}

std::string CountProgress::figures(std::int64_t done, std::int64_t worked) const {
  const double seconds = clock_() - start_;
  const double left = done > 0 ? seconds / static_cast<double>(done) * static_cast<double>(total_ - done)
                               : std::numeric_limits<double>::quiet_NaN();
  return fmt::format("{}/{} {}  {} {}/s  {} left", done, total_, unit_,
                     format_count(static_cast<double>(worked) / seconds), work_, format_duration(left));
}

void CountProgress::clear() {
  if (is_drawn_) terminal_.write(terminal_.erase_line());
  is_drawn_ = false;
}

}  // namespace qad
