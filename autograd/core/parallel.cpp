#include "autograd/core/parallel.h"

#include <omp.h>

#include "autograd/core/error.h"

namespace qad {
namespace {
int thread_count = 0;
}

void set_threads(int count) { thread_count = count > 0 ? count : omp_get_num_procs(); }

int threads() {
  if (thread_count == 0) set_threads(0);
  return thread_count;
}

void keep_libraries_to_one_thread() {
  if (omp_get_max_threads() != 1) omp_set_num_threads(1);
}

void detail::run_chunks(std::int64_t size, std::int64_t chunk, ChunkFunction function, void* context) {
  QAD_ASSERT(chunk > 0);
  const std::int64_t chunks = (size + chunk - 1) / chunk;
  const auto run = [&](std::int64_t index) { function(context, index * chunk, std::min(size, (index + 1) * chunk)); };
  if (chunks <= 1 || threads() == 1 || omp_in_parallel() != 0) {
    for (std::int64_t index = 0; index < chunks; ++index) run(index);
    return;
  }
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads())
  for (std::int64_t index = 0; index < chunks; ++index) run(index);
}

}  // namespace qad
