#include "autograd/base/thread_pool.h"

#include <algorithm>
#include <limits>

#include "autograd/base/clock.h"
#include "autograd/base/error.h"

namespace qad {
namespace {

thread_local bool inside_a_loop = false;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Looks for a moment whether something has happened, before its thread goes to sleep. The moment is short where looking
// was in vain lately: then the cores are shared with others, who can use the time.
class Patience {
 public:
  template <class Condition>
  bool wait_awake(const Condition& condition) {
    for (int i = 0; i < looks_; ++i) {
      if (condition()) {
        looks_ = std::min(kMost, looks_ * 2);
        return true;
      }
      relax();
    }
    looks_ = std::max(kLeast, looks_ / 2);
    return condition();
  }

 private:
  static constexpr int kLeast = 32, kMost = 4096;  // 40 to 140 cycles each: at most a fifth of a millisecond
  int looks_ = kMost;
};

}  // namespace

void HelpBalance::add(double now, double working, double waiting, std::int64_t own, std::int64_t all) {
  if (own == 0) return;  // others were so quick that nothing is known of how long one alone takes
  alone_ += working * static_cast<double>(all) / static_cast<double>(own);
  together_ += working + waiting;
  waiting_ += waiting;
  if (together_ < kWindow) return;
  const bool is_loss = together_ > (1 - kLeastGain) * alone_ && waiting_ > kLeastWaiting * together_;
  alone_for_ = is_loss ? std::clamp(2 * alone_for_, kWindow, kMostAlone) : 0;
  alone_until_ = now + alone_for_;
  alone_ = together_ = waiting_ = 0;
}

void ChunkLoop::run_chunk(std::int64_t index) const {
  function(context, index * chunk, std::min(size, (index + 1) * chunk));
}

ThreadPool& ThreadPool::instance() {
  static auto* const pool = new ThreadPool;  // never destroyed: workers may look at it until the process ends
  return *pool;
}

void ThreadPool::run(const ChunkLoop& loop, int threads) {
  const std::int64_t chunks = loop.chunks();
  QAD_ASSERT(chunks <= std::numeric_limits<std::uint32_t>::max());
  const bool alone = chunks <= 1 || threads <= 1 || inside_a_loop;
  std::unique_lock<std::mutex> mine =
      alone ? std::unique_lock<std::mutex>() : std::unique_lock(busy_, std::try_to_lock);
  if (mine.owns_lock() && !help_.is_wanted(steady_seconds())) mine.unlock();
  if (!mine.owns_lock()) {
    for (std::int64_t index = 0; index < chunks; ++index) loop.run_chunk(index);
    return;
  }
  add_workers(threads - 1);
  function_.store(loop.function, std::memory_order_relaxed);
  context_.store(loop.context, std::memory_order_relaxed);
  size_.store(loop.size, std::memory_order_relaxed);
  chunk_.store(loop.chunk, std::memory_order_relaxed);
  helpers_.store(threads - 1, std::memory_order_relaxed);
  done_.store(0, std::memory_order_relaxed);
  const std::uint32_t round = round_.load(std::memory_order_relaxed) + 1;
  left_.store(std::uint64_t{round} << 32 | static_cast<std::uint64_t>(chunks), std::memory_order_release);
  round_.store(round, std::memory_order_seq_cst);  // before notify_all looks whether anybody sleeps
  round_.notify_all();

  const double begin = steady_seconds();
  const std::int64_t own = take_chunks(round);
  const double end = steady_seconds();
  wait_until_done(static_cast<std::uint32_t>(chunks));
  const double now = steady_seconds();
  help_.add(now, end - begin, now - end, own, chunks);
}

std::int64_t ThreadPool::take_chunks(std::uint32_t round) {
  std::int64_t taken = 0;
  inside_a_loop = true;
  for (std::uint64_t left = left_.load(std::memory_order_acquire);;) {
    const auto count = static_cast<std::int64_t>(left & 0xffffffffu);
    if (left >> 32 != round || count == 0) break;
    if (!left_.compare_exchange_weak(left, left - 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
    // A chunk is ours, so the loop can't end, and its fields stay, until we count the chunk as done.
    const ChunkLoop loop{function_.load(std::memory_order_relaxed), context_.load(std::memory_order_relaxed),
                         size_.load(std::memory_order_relaxed), chunk_.load(std::memory_order_relaxed)};
    const std::int64_t chunks = loop.chunks();
    loop.run_chunk(chunks - count);
    ++taken;
    const bool last = done_.fetch_add(1, std::memory_order_seq_cst) + 1 == chunks;
    if (last && caller_sleeps_.load(std::memory_order_seq_cst)) done_.notify_one();
    left = left_.load(std::memory_order_acquire);
  }
  inside_a_loop = false;
  return taken;
}

void ThreadPool::wait_until_done(std::uint32_t chunks) {
  thread_local Patience patience;
  if (patience.wait_awake([&] { return done_.load(std::memory_order_acquire) == chunks; })) return;
  caller_sleeps_.store(true, std::memory_order_seq_cst);
  for (std::uint32_t done = done_.load(std::memory_order_seq_cst); done != chunks; done = done_.load())
    done_.wait(done);
  caller_sleeps_.store(false, std::memory_order_relaxed);
}

void ThreadPool::add_workers(int count) {
  while (static_cast<int>(workers_.size()) < count) {
    const int index = static_cast<int>(workers_.size());
    workers_.emplace_back([this, index] { work(index); });
  }
}

void ThreadPool::work(int index) {
  Patience patience;
  for (std::uint32_t seen = 0;;) {
    if (!patience.wait_awake([&] { return round_.load(std::memory_order_acquire) != seen; })) round_.wait(seen);
    seen = round_.load(std::memory_order_acquire);
    if (index < helpers_.load(std::memory_order_relaxed)) static_cast<void>(take_chunks(seen));
  }
}

}  // namespace qad
