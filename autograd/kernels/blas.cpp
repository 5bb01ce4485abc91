#include "autograd/kernels/blas.h"

#include <fmt/format.h>
#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_debug.h>

#include <cctype>
#include <string_view>

#include "autograd/core/error.h"
#include "autograd/core/parallel.h"

namespace qad::kernels {

void tile_product(Transpose transpose_a, Transpose transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
                  const float* a, std::int64_t lda, const float* b, std::int64_t ldb, float beta, float* c,
                  std::int64_t ldc) {
  const auto letter = [](Transpose transpose) { return transpose == Transpose::no ? 'N' : 'T'; };
  keep_libraries_to_one_thread();
  const dnnl_status_t status =
      dnnl_sgemm(letter(transpose_a), letter(transpose_b), m, n, k, 1.0f, a, lda, b, ldb, beta, c, ldc);
  QAD_ASSERT(status == dnnl_success);
}

std::string blas_description() {
  const dnnl_version_t* const version = dnnl_version();
  std::string isa = dnnl_cpu_isa2str(dnnl_get_effective_cpu_isa());  // "cpu_isa_avx2"
  if (constexpr std::string_view prefix = "cpu_isa_"; isa.starts_with(prefix)) isa.erase(0, prefix.size());
  for (char& letter : isa) letter = static_cast<char>(std::toupper(letter));
  return fmt::format("oneDNN {}.{}.{} {}", version->major, version->minor, version->patch, isa);
}

}  // namespace qad::kernels
