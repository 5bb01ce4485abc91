#include "autograd/base/parallel.h"

#include <omp.h>

#include "autograd/base/cpu_count.h"
#include "autograd/base/error.h"
#include "autograd/base/thread_pool.h"

namespace qad {
namespace {
int thread_count = 0;
}

void set_threads(int count) { thread_count = count > 0 ? count : usable_cpus(); }

int threads() {
  if (thread_count == 0) set_threads(0);
  return thread_count;
}

void keep_libraries_to_one_thread() {
  if (omp_get_max_threads() != 1) omp_set_num_threads(1);
}

void detail::run_chunks(std::int64_t size, std::int64_t chunk, ChunkFunction function, void* context) {
  QAD_ASSERT(chunk > 0);
  ThreadPool::instance().run({function, context, size, chunk}, threads());
}

}  // namespace qad
