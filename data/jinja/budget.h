// What a rendering may use up. Templates are programs that come with models, from strangers: each is told to end after
// so many steps and so many bytes. Both are charged where work is done or memory is taken, before it is.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace qad::jinja {

struct Limits {
  /// An expression, a statement, an item gone through, 64 bytes read or written: 50 to 100 ns each, so half a second.
  /// Templates in use take about one for each byte of a conversation.
  std::int64_t steps = 5'000'000;
  /// Of texts, lists and dicts made, those included that are gone again: a bound of what is there at any time.
  std::int64_t bytes = std::int64_t{64} << 20;
  /// Of the text in the end, which is yet to be made tokens of.
  std::int64_t text = std::int64_t{1} << 20;

  /// For a conversation of so many bytes: templates copy it several times, and some go through all of it at each turn.
  [[nodiscard]] static Limits for_conversation(std::size_t size);
};

class Budget {
 public:
  explicit Budget(const Limits& limits) : limits_(limits), steps_left_(limits.steps), bytes_left_(limits.bytes) {}

  /// Throws Failure that ends the rendering when there is nothing left, and when a signal asked to stop.
  void work(std::size_t steps = 1) {
    steps_left_ -= bounded(steps);
    if (steps_left_ < poll_at_) poll();
  }
  /// Bytes are looked at.
  void read(std::size_t bytes) { work(bytes / 64); }
  /// Bytes are written to memory of their own.
  void make(std::size_t bytes) {
    bytes_left_ -= bounded(bytes);
    if (bytes_left_ < 0) refuse_bytes();
    work(bytes / 64);
  }
  [[nodiscard]] const Limits& limits() const { return limits_; }

 private:
  static std::int64_t bounded(std::size_t amount) {
    return static_cast<std::int64_t>(std::min(amount, std::size_t{1} << 60));
  }
  void poll();
  [[noreturn]] void refuse_bytes() const;

  Limits limits_;
  std::int64_t steps_left_, bytes_left_;
  std::int64_t poll_at_ = INT64_MAX;  ///< the first step asks for signals too
};

}  // namespace qad::jinja
