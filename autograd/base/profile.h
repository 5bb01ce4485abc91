// Where the time of a piece of work goes, by phase and operation. A scope costs a branch while nobody asks.
//
// A scope's time is its own: what scopes inside it take is theirs. So the rows add up to the time of the outermost
// phases, and what no scope names is the row "other" of its phase.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>
#include <vector>

namespace qad {

struct ProfileRow {
  std::string_view phase;      ///< such as "backward"
  std::string_view operation;  ///< such as "gemm dW"; Profiler::kOther for what no scope in the phase names
  std::int64_t calls = 0;
  double seconds = 0;
  double flops = 0;  ///< of matrix products; 0 for all else
  double bytes = 0;  ///< each operand read once and each result written once; 0 if not counted
};

/// While it lives, the scopes of the thread that made it are recorded: ops are called from there and parallelise
/// inside. One at a time.
class Profiler {
 public:
  static constexpr std::string_view kOther = "other";

  Profiler();
  ~Profiler();
  Profiler(const Profiler&) = delete;
  Profiler& operator=(const Profiler&) = delete;

  /// Of scopes that have ended, in the order in which the first of them did.
  [[nodiscard]] const std::vector<ProfileRow>& rows() const { return rows_; }
  /// How often an outermost phase was run: the steps of a training.
  [[nodiscard]] std::int64_t rounds() const { return rounds_; }
  /// The wall time of the outermost phases.
  [[nodiscard]] double seconds() const;

 private:
  friend class ProfileScope;
  void add(const ProfileRow& ended);
  std::vector<ProfileRow> rows_;
  std::int64_t rounds_ = 0;
};

namespace detail {
extern constinit thread_local Profiler* profiler;
}
[[nodiscard]] inline bool profiling() { return detail::profiler != nullptr; }

/// An operation inside a phase, until the end of the block; outside of any phase it is not recorded. Names must be
/// string literals.
class ProfileScope {
 public:
  explicit ProfileScope(std::string_view operation, double flops = 0, double bytes = 0) {
    if (profiling()) enter({}, operation, flops, bytes);
  }
  ~ProfileScope() {
    if (recorded_) leave();
  }
  ProfileScope(const ProfileScope&) = delete;
  ProfileScope& operator=(const ProfileScope&) = delete;

 protected:
  ProfileScope() = default;
  /// An empty phase is that of the scope around it.
  void enter(std::string_view phase, std::string_view operation, double flops, double bytes);

 private:
  void leave();
  using Clock = std::chrono::steady_clock;
  bool recorded_ = false;
  ProfileRow row_;  ///< `seconds` counts down by what scopes inside took
  ProfileScope* outer_ = nullptr;
  Clock::time_point began_;
};

/// A phase, until the end of the block. Phases may lie inside phases; then the outer one's rows leave out the inner
/// one's.
class ProfilePhase : public ProfileScope {
 public:
  explicit ProfilePhase(std::string_view phase) {
    if (profiling()) enter(phase, Profiler::kOther, 0, 0);
  }
};

}  // namespace qad
