// Embedding: fast against definition; it only copies and adds, so the bits agree.
#include <gtest/gtest.h>

#include "autograd/core/dtype.h"
#include "autograd/kernels/embedding.h"
#include "autograd/reference/embedding.h"
#include "tests/support/complex_step.h"
#include "tests/support/near.h"

namespace qad::testing {
namespace {

struct EmbeddingCase {
  std::int64_t tokens, vocabulary, cols;

  [[nodiscard]] std::vector<std::int32_t> ids() const {
    std::vector<std::int32_t> out;
    for (std::int64_t t = 0; t < tokens; ++t) out.push_back(static_cast<std::int32_t>(t * t % vocabulary));
    return out;
  }
};

TEST(KernelsEmbedding, EqualsTheDefinition) {
  for (const EmbeddingCase& c :
       {EmbeddingCase{1, 1, 1}, EmbeddingCase{30, 7, 5}, EmbeddingCase{400, 50, 64}, EmbeddingCase{300, 1000, 130}}) {
    const auto ids = c.ids();
    const auto table = normal_floats(c.vocabulary * c.cols, 1.0, 1), d_out = normal_floats(c.tokens * c.cols, 1.0, 2);
    std::vector<float> out(d_out.size()), expected(d_out.size()), d_table(table), d_table_expected(table);
    kernels::embedding_forward(c.tokens, c.cols, ids.data(), table.data(), out.data());
    reference::embedding_forward(c.tokens, c.cols, ids.data(), table.data(), expected.data());
    expect_same_bits("out", out, expected);
    kernels::embedding_backward(c.tokens, c.cols, ids.data(), d_out.data(), d_table.data());
    reference::embedding_backward(c.tokens, c.cols, ids.data(), d_out.data(), d_table_expected.data());
    expect_same_bits("d_table", d_table, d_table_expected);

    std::vector<std::uint16_t> bf16;
    std::vector<float> rounded;
    for (const float value : table) {
      bf16.push_back(f32_to_bf16(value));
      rounded.push_back(bf16_to_f32(bf16.back()));
    }
    kernels::embedding_forward_bf16(c.tokens, c.cols, ids.data(), bf16.data(), out.data());
    reference::embedding_forward(c.tokens, c.cols, ids.data(), rounded.data(), expected.data());
    expect_same_bits("out from BF16", out, expected);
  }
}

TEST(ReferenceEmbedding, BackwardEqualsComplexStep) {
  for (const EmbeddingCase& c : {EmbeddingCase{1, 1, 1}, EmbeddingCase{6, 4, 3}})
    for (const double scale : {1e-6, 1e-4, 1e-2, 0.1, 0.5, 1.0, 3.0, 10.0, 1e2, 1e4}) {
      const auto ids = c.ids();
      const Real table = normal_doubles(c.vocabulary * c.cols, scale, 1),
                 d_out = normal_doubles(c.tokens * c.cols, 1.0, 2);
      Real d_table(table.size());
      reference::embedding_backward(c.tokens, c.cols, ids.data(), d_out.data(), d_table.data());
      expect_gradient("d_table", d_table, complex_step_gradient(table, [&](const Imaginary& point) {
                        Imaginary out(d_out.size());
                        reference::embedding_forward(c.tokens, c.cols, ids.data(), point.data(), out.data());
                        return weighted_sum(d_out, out);
                      }));
    }
}

TEST(KernelsEmbedding, SameBitsAtAnyThreadCount) {
  const EmbeddingCase c{3000, 40, 200};
  const auto ids = c.ids();
  const auto table = normal_floats(c.vocabulary * c.cols, 1.0, 1), d_out = normal_floats(c.tokens * c.cols, 1.0, 2);
  expect_same_at_any_thread_count("embedding", [&] {
    std::vector<float> out(d_out.size()), d_table(table);
    kernels::embedding_forward(c.tokens, c.cols, ids.data(), table.data(), out.data());
    kernels::embedding_backward(c.tokens, c.cols, ids.data(), d_out.data(), d_table.data());
    out.insert(out.end(), d_table.begin(), d_table.end());
    return out;
  });
}

}  // namespace
}  // namespace qad::testing
