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
  void take_chunks(std::uint32_t round);
  void wait_until_done(std::uint32_t chunks);

  std::mutex busy_;  ///< held by who runs a loop
  std::vector<std::thread> workers_;

  // The present loop. Its fields are read only by who has won a chunk, and change only when no chunk is left and all are
  // done. That none is left must be seen in left_ alone: a worker that comes late would find the next loop's size.
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
