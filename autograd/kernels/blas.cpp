#include "autograd/kernels/blas.h"

#include <fmt/format.h>
#include <oneapi/dnnl/dnnl_debug.h>

#include <array>
#include <cctype>
#include <map>
#include <oneapi/dnnl/dnnl.hpp>
#include <string_view>
#include <unordered_map>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"

namespace qad::kernels {
namespace {

// m, n, k, the leading dimensions of a, b and c, then whether a and b are transposed and c is added to.
using BF16Extents = std::array<std::int64_t, 9>;

const dnnl::engine& cpu() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

// oneDNN's product of BF16 matrices of fixed extents, for one thread.
class BF16Product {
 public:
  explicit BF16Product(const BF16Extents& extents) {
    const auto [m, n, k, lda, ldb, ldc, transpose_a, transpose_b, accumulate] = extents;
    using Type = dnnl::memory::data_type;
    using Strides = dnnl::memory::dims;
    const dnnl::memory::desc a({m, k}, Type::bf16, transpose_a != 0 ? Strides{1, lda} : Strides{lda, 1});
    const dnnl::memory::desc b({k, n}, Type::bf16, transpose_b != 0 ? Strides{1, ldb} : Strides{ldb, 1});
    const dnnl::memory::desc c({m, n}, Type::f32, Strides{ldc, 1});
    dnnl::primitive_attr attributes;
    if (accumulate != 0) {
      dnnl::post_ops add;
      add.append_sum(1.0f);
      attributes.set_post_ops(add);
    }
    matmul_ = dnnl::matmul(dnnl::matmul::primitive_desc(dnnl::matmul::desc(a, b, c), attributes, cpu()));
    arguments_ = {{DNNL_ARG_SRC, dnnl::memory(a, cpu(), nullptr)},
                  {DNNL_ARG_WEIGHTS, dnnl::memory(b, cpu(), nullptr)},
                  {DNNL_ARG_DST, dnnl::memory(c, cpu(), nullptr)}};
  }

  void operator()(const std::uint16_t* a, const std::uint16_t* b, float* c) {
    arguments_[DNNL_ARG_SRC].set_data_handle(const_cast<std::uint16_t*>(a));  // only read
    arguments_[DNNL_ARG_WEIGHTS].set_data_handle(const_cast<std::uint16_t*>(b));
    arguments_[DNNL_ARG_DST].set_data_handle(c);
    matmul_.execute(stream_, arguments_);
  }

 private:
  dnnl::stream stream_{cpu()};
  dnnl::matmul matmul_;
  std::unordered_map<int, dnnl::memory> arguments_;
};

}  // namespace

void tile_product(Transpose transpose_a, Transpose transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
                  const float* a, std::int64_t lda, const float* b, std::int64_t ldb, float beta, float* c,
                  std::int64_t ldc) {
  const auto letter = [](Transpose transpose) { return transpose == Transpose::no ? 'N' : 'T'; };
  keep_libraries_to_one_thread();
  const dnnl_status_t status =
      dnnl_sgemm(letter(transpose_a), letter(transpose_b), m, n, k, 1.0f, a, lda, b, ldb, beta, c, ldc);
  QAD_ASSERT(status == dnnl_success);
}

void tile_product_bf16(Transpose transpose_a, Transpose transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
                       const std::uint16_t* a, std::int64_t lda, const std::uint16_t* b, std::int64_t ldb,
                       bool accumulate, float* c, std::int64_t ldc) {
  constexpr std::size_t kMostKept = 256;  // making one anew takes longer than a small product
  thread_local std::map<BF16Extents, BF16Product> products;
  keep_libraries_to_one_thread();
  const BF16Extents extents{
      m, n, k, lda, ldb, ldc, transpose_a == Transpose::yes, transpose_b == Transpose::yes, accumulate};
  auto found = products.find(extents);
  if (found == products.end()) {
    if (products.size() == kMostKept) products.clear();
    found = products.try_emplace(extents, extents).first;
  }
  found->second(a, b, c);
}

bool has_bf16_products() {
  constexpr auto wanted = static_cast<unsigned>(dnnl_cpu_isa_avx512_core_bf16);
  static const bool has = (static_cast<unsigned>(dnnl_get_effective_cpu_isa()) & wanted) == wanted;
  return has;
}

std::string blas_description() {
  const dnnl_version_t* const version = dnnl_version();
  std::string isa = dnnl_cpu_isa2str(dnnl_get_effective_cpu_isa());  // "cpu_isa_avx2"
  if (constexpr std::string_view prefix = "cpu_isa_"; isa.starts_with(prefix)) isa.erase(0, prefix.size());
  for (char& letter : isa) letter = static_cast<char>(std::toupper(letter));
  return fmt::format("oneDNN {}.{}.{} {}", version->major, version->minor, version->patch, isa);
}

}  // namespace qad::kernels
