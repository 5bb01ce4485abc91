#include "autograd/kernels/blas.h"

#include <cblas.h>

#include <mutex>

#include "autograd/core/log.h"

namespace qad::kernels {
namespace {

/// OpenBLAS built without threads (Debian's libopenblas0-serial) hands the same packing buffer to two threads that call
/// it at once, and the product comes out wrong now and then (OpenBLAS issue 2126). Such a build gets one call at a
/// time: correct, and no faster on many threads than on one. The pthread and OpenMP builds lock their buffers.
bool one_call_at_a_time() {
  static const bool is_serial = [] {
    openblas_set_num_threads(1);  // our tiles are the only parallelism
    const bool serial = openblas_get_parallel() == OPENBLAS_SEQUENTIAL;
    if (serial)
      log_warning(
          "this OpenBLAS is built without threads and can't be called from several at once: matrix products run on one "
          "thread (install libopenblas0-pthread)");
    return serial;
  }();
  return is_serial;
}

CBLAS_TRANSPOSE cblas_transpose(Transpose transpose) { return transpose == Transpose::no ? CblasNoTrans : CblasTrans; }

}  // namespace

void tile_product(Transpose transpose_a, Transpose transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
                  const float* a, std::int64_t lda, const float* b, std::int64_t ldb, float beta, float* c,
                  std::int64_t ldc) {
  static std::mutex mutex;
  const std::unique_lock lock = one_call_at_a_time() ? std::unique_lock(mutex) : std::unique_lock<std::mutex>();
  const auto extent = [](std::int64_t value) { return static_cast<blasint>(value); };
  cblas_sgemm(CblasRowMajor, cblas_transpose(transpose_a), cblas_transpose(transpose_b), extent(m), extent(n),
              extent(k), 1.0f, a, extent(lda), b, extent(ldb), beta, c, extent(ldc));
}

std::string blas_description() {
  const std::string config = openblas_get_config();  // "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH …"
  return config.substr(0, config.find(' ', config.find(' ') + 1)) + " " + openblas_get_corename();
}

}  // namespace qad::kernels
