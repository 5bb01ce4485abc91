// The threads behind parallel_for. Nobody else uses them.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace qad {

/// A loop over chunks [0, chunk), [chunk, 2·chunk), … of [0, size).
struct ChunkLoop {
  void (*function)(void* context, std::int64_t begin, std::int64_t end);
  void* context;
  std::int64_t size, chunk;

  [[nodiscard]] std::int64_t chunks() const { return (size + chunk - 1) / chunk; }
  void run_chunk(std::int64_t index) const;
};

/// Whether a loop is shared with other threads. Where other processes want the cores too, a thread that was set aside
/// in the middle of its chunk keeps all others waiting, and loops of a fraction of a millisecond take longer than on
/// one thread. Then all loops of the next moment run on one, before the others are asked again. Times are in seconds.
class HelpBalance {
 public:
  [[nodiscard]] bool is_wanted(double now) const { return now >= alone_until_; }
  /// What a shared loop cost its caller: working on its `own` of `all` chunks, then waiting for the rest.
  void add(double now, double working, double waiting, std::int64_t own, std::int64_t all);

 private:
  static constexpr double kWindow = 0.01, kMostAlone = 0.16;
  static constexpr double kLeastGain = 0.1;     ///< of the time that one thread takes, to be worth the others
  static constexpr double kLeastWaiting = 0.3;  ///< of the time of all; with less, the loops are just small

  double alone_ = 0, together_ = 0, waiting_ = 0;  ///< in this window; alone_: what one thread would have taken
  double alone_for_ = 0, alone_until_ = 0;
};

class ThreadPool {
 public:
  /// One for the process. Its threads never end: they are the process's to take down.
  [[nodiscard]] static ThreadPool& instance();

  /// Runs all chunks on the calling thread and up to `threads` - 1 others. Where the pool is busy with another loop (of
  /// another thread, or the one that this call comes from) the chunks run one after the other.
  void run(const ChunkLoop& loop, int threads);

 private:
  ThreadPool() = default;

  void add_workers(int count);
  void work(int index);
  std::int64_t take_chunks(std::uint32_t round);  ///< how many it ran
  void wait_until_done(std::uint32_t chunks);

  std::mutex busy_;   ///< held by who runs a loop
  HelpBalance help_;  ///< of who holds it
  std::vector<std::thread> workers_;

  // The present loop. Its fields are read only by who has won a chunk, and change only when no chunk is left and all
  // are done. That none is left must be seen in left_ alone: a worker that comes late would find the next loop's size.
  std::atomic<decltype(ChunkLoop::function)> function_ = nullptr;
  std::atomic<void*> context_ = nullptr;
  std::atomic<std::int64_t> size_ = 0, chunk_ = 1;
  std::atomic<int> helpers_ = 0;         ///< workers with a lower index may help
  std::atomic<std::uint64_t> left_ = 0;  ///< round in the upper half, chunks that nobody has taken in the lower
  std::atomic<std::uint32_t> done_ = 0;  ///< chunks that are finished
  std::atomic<std::uint32_t> round_ = 0;
  std::atomic<bool> caller_sleeps_ = false;
};

}  // namespace qad
