#include "bench/step/gemm_floor.h"

#include <omp.h>
#include <oneapi/dnnl/dnnl.h>

#include <algorithm>
#include <map>

#include "autograd/base/parallel.h"
#include "autograd/base/random.h"
#include "autograd/kernels/blas.h"
#include "autograd/kernels/table.h"
#include "bench/step/clock.h"
#include "qad/formats/integer_product.h"
#include "qad/formats/quantize.h"

namespace qad::bench {
namespace {

using kernels::Transpose;

// A larger product is timed on a part of its vocabulary; its rate does not change beyond this.
constexpr double kMostOperations = 3e10;

struct Operands {
  explicit Operands(const Product& p)
      : product(p), a(values(p.m * p.k, 1)), b(values(p.k * p.n, 2)), c(static_cast<std::size_t>(p.m * p.n)) {}

  // Of few different values; the time of a product does not depend on them.
  static std::vector<float> values(std::int64_t size, std::uint64_t stream) {
    Random random(1, stream);
    std::vector<float> out(static_cast<std::size_t>(size));
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] = i < 4096 ? static_cast<float>(random.normal()) : out[i % 4093];
    return out;
  }
  [[nodiscard]] std::int64_t lda() const { return product.transpose_a == Transpose::no ? product.k : product.m; }
  [[nodiscard]] std::int64_t ldb() const { return product.transpose_b == Transpose::no ? product.n : product.k; }

  const Product product;
  std::vector<float> a, b, c;
};

void by_our_tiles(Operands& x) {
  const Product& p = x.product;
  kernels::gemm(p.transpose_a, p.transpose_b, p.m, p.n, p.k, x.a.data(), x.lda(), x.b.data(), x.ldb(), false,
                x.c.data(), p.n);
}

// The same extents; what the operands are changes no time.
void in_bf16(Operands& x) {
  const Product& p = x.product;
  kernels::gemm_bf16(p.transpose_a, p.transpose_b, p.m, p.n, p.k, reinterpret_cast<const std::uint16_t*>(x.a.data()),
                     x.lda(), reinterpret_cast<const std::uint16_t*>(x.b.data()), x.ldb(), false, x.c.data(), p.n);
}

// One single-threaded call for each thread's share of the rows or columns of C.
void by_shares(Operands& x, bool of_rows) {
  const Product& p = x.product;
  const std::int64_t size = of_rows ? p.m : p.n;
  parallel_for(size, (size + threads() - 1) / threads(), [&](std::int64_t begin, std::int64_t end) {
    const float* a = x.a.data() + (!of_rows ? 0 : p.transpose_a == Transpose::no ? begin * p.k : begin);
    const float* b = x.b.data() + (of_rows ? 0 : p.transpose_b == Transpose::no ? begin : begin * p.k);
    kernels::tile_product(p.transpose_a, p.transpose_b, of_rows ? end - begin : p.m, of_rows ? p.n : end - begin, p.k,
                          a, x.lda(), b, x.ldb(), 0.0f, x.c.data() + (of_rows ? begin * p.n : begin), p.n);
  });
}

// With oneDNN's own threads.
void by_one_call(Operands& x) {
  const Product& p = x.product;
  const auto letter = [](Transpose transpose) { return transpose == Transpose::no ? 'N' : 'T'; };
  omp_set_num_threads(threads());
  dnnl_sgemm(letter(p.transpose_a), letter(p.transpose_b), p.m, p.n, p.k, 1.0f, x.a.data(), x.lda(), x.b.data(),
             x.ldb(), 0.0f, x.c.data(), p.n);
}

// With the part of it that is timed; `factor` is the whole over the part.
Product cut(Product product, double& factor) {
  factor = 1;
  if (product.operations() <= kMostOperations) return product;
  std::int64_t& longest = product.m >= std::max(product.n, product.k) ? product.m
                          : product.n >= product.k                    ? product.n
                                                                      : product.k;
  const double whole = product.operations();
  longest = std::max<std::int64_t>(
      1024, static_cast<std::int64_t>(static_cast<double>(longest) * kMostOperations / whole / 64) * 64);
  factor = whole / product.operations();
  return product;
}

struct Best {
  double& seconds;
  std::string& way;
  void offer(const char* another, double its_seconds) const {
    if (!way.empty() && seconds <= its_seconds) return;
    seconds = its_seconds;
    way = another;
  }
};

double seconds_of_codes(const Product& part) {
  const auto codes = [](std::int64_t rows, std::int64_t cols, std::uint64_t stream) {
    QuantizedTensor result = QuantizedTensor::allocate(block_format("nvfp4"), rows, cols, 0x1p-9f);
    static_cast<void>(quantize(Operands::values(rows * cols, stream).data(), result));
    return result;
  };
  const QuantizedTensor x = codes(part.m, part.k, 1);
  const InterleavedRows w = interleaved(codes(part.n, part.k, 2));
  std::vector<float> c(static_cast<std::size_t>(part.m * part.n));
  return median_seconds([&] { integer_product(x, w, c.data()); });
}

}  // namespace

std::vector<Product> products_of(const Workload& workload, LanguageModel& model, bool quantized) {
  struct Count {
    std::int64_t all = 0, quantized = 0;
  };
  std::map<std::pair<std::int64_t, std::int64_t>, Count> layers;  // by (out, in)
  for (const LinearGroup* group : model.linear_groups())
    for (const Linear& linear : group->members) {
      Count& count = layers[{linear.out_features(), linear.in_features()}];
      ++count.all;
      if (quantized && group != &model.head()) ++count.quantized;
    }
  const std::int64_t tokens = workload.tokens();
  std::vector<Product> products;
  for (const auto& [shape, counts] : layers) {
    const auto [out, in] = shape;
    const std::int64_t count = counts.all;
    products.push_back({"forward", Transpose::no, Transpose::yes, tokens, out, in, 2 * count, counts.quantized});
    products.push_back({"input_gradient", Transpose::no, Transpose::no, tokens, in, out, count});
    products.push_back({"weight_gradient", Transpose::yes, Transpose::no, out, in, tokens, count});
  }
  return products;
}

void time_products(std::vector<Product>& products, Precision precision) {
  const bool bf16 = precision == Precision::bf16 && kernel_table().gemm_bf16 != nullptr;
  double factor = 1;
  for (Product& product : products) {
    Operands x(cut(product, factor));
    const Best best{product.seconds, product.fastest};
    if (bf16) best.offer("BF16", factor * median_seconds([&] { in_bf16(x); }));
    best.offer("our tiles", factor * median_seconds([&] { by_our_tiles(x); }));
    best.offer("one call", factor * median_seconds([&] { by_one_call(x); }));
    if (threads() > 1) {
      best.offer("a call a thread, by rows", factor * median_seconds([&] { by_shares(x, true); }));
      best.offer("a call a thread, by columns", factor * median_seconds([&] { by_shares(x, false); }));
    }
    if (product.of_codes > 0) product.codes_seconds = factor * seconds_of_codes(x.product);
  }
}

double floor_seconds(const std::vector<Product>& products, bool fp32) {
  double seconds = 0;
  for (const Product& product : products) {
    const std::int64_t of_codes = fp32 ? 0 : product.of_codes;
    seconds += static_cast<double>(product.count - of_codes) * product.seconds +
               static_cast<double>(of_codes) * product.codes_seconds;
  }
  return seconds;
}

}  // namespace qad::bench
