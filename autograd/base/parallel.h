// Loops over fixed chunks. The chunks depend on the problem alone, never on the number of threads, so a result that is
// computed chunk by chunk has the same bits on one thread and on many.
//
// The threads are a pool of our own and not OpenMP's: who calls a loop waits for its chunks and not for the threads, so
// one that the system has put aside for another process holds nothing up, and nobody waits awake for more than a
// moment. That is what makes runs side by side on the same cores as fast as their share of them.
#pragma once

#include <algorithm>
#include <cstdint>

namespace qad {

/// How many threads loops use from now on; 0 chooses the number of cores that this process may use (cpu_count.h).
void set_threads(int count);
[[nodiscard]] int threads();
/// Libraries that ask OpenMP for the number of threads use one when this thread calls them, from now on. Costs nothing
/// to speak of.
void keep_libraries_to_one_thread();

/// Whether loops do nothing at present (autograd/core/dry_run.h).
[[nodiscard]] bool loops_are_dry();

namespace detail {
void set_loops_dry(bool dry);
using ChunkFunction = void (*)(void* context, std::int64_t begin, std::int64_t end);
void run_chunks(std::int64_t size, std::int64_t chunk, ChunkFunction function, void* context);
}  // namespace detail

/// Calls body(begin, end) for [0, chunk), [chunk, 2·chunk), … in any order and at the same time. The body must not
/// throw. Inside a body that already runs in parallel the chunks run one after the other.
template <class Body>
void parallel_for(std::int64_t size, std::int64_t chunk, Body&& body) {
  detail::run_chunks(
      size, chunk,
      [](void* context, std::int64_t begin, std::int64_t end) { (*static_cast<Body*>(context))(begin, end); },
      const_cast<void*>(static_cast<const void*>(&body)));
}

}  // namespace qad
