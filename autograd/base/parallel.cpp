#include "autograd/base/parallel.h"

#include <omp.h>

#include <atomic>

#include "autograd/base/cpu_count.h"
#include "autograd/base/error.h"
#include "autograd/base/thread_pool.h"

namespace qad {
namespace {
int thread_count = 0;
std::atomic<bool> is_dry = false;
}  // namespace

void set_threads(int count) { thread_count = count > 0 ? count : usable_cpus(); }

int threads() {
  if (thread_count == 0) set_threads(0);
  return thread_count;
}

void keep_libraries_to_one_thread() {
  if (omp_get_max_threads() != 1) omp_set_num_threads(1);
}

bool loops_are_dry() { return is_dry.load(std::memory_order_relaxed); }

void detail::set_loops_dry(bool dry) { is_dry = dry; }

void detail::run_chunks(std::int64_t size, std::int64_t chunk, ChunkFunction function, void* context) {
  QAD_ASSERT(chunk > 0);
  if (loops_are_dry()) return;
  ThreadPool::instance().run({function, context, size, chunk}, threads());
}

}  // namespace qad
