#include "autograd/kernels/profiled_table.h"

#include <algorithm>

#include "autograd/base/profile.h"

namespace qad::kernels {
namespace {

double number(std::int64_t value) { return static_cast<double>(value); }
double floats(std::int64_t count) { return static_cast<double>(sizeof(float)) * number(count); }

// By what the product is for, as tape/operand.h and ops/linear.h form them.
const char* use_of(Transpose transpose_a, Transpose transpose_b) {
  if (transpose_a == Transpose::yes) return "gemm dW";
  return transpose_b == Transpose::yes ? "gemm forward" : "gemm dX";
}
const char* use_of_bf16(Transpose transpose_a, Transpose transpose_b) {
  if (transpose_a == Transpose::yes) return "gemm dW BF16";
  return transpose_b == Transpose::yes ? "gemm forward BF16" : "gemm dX BF16";
}

struct AttentionWork {
  double pairs = 0;  // of a query and a key that it sees
  std::int64_t queries = 0, keys = 0;
};
AttentionWork work_of(const AttentionShape& shape) {
  AttentionWork work;
  for (const AttentionSegment& s : shape.segments) {
    const std::int64_t queries = s.q_end - s.q_begin, keys = s.k_end - s.k_begin;
    work.queries += queries;
    work.keys += keys;
    const std::int64_t most = shape.window > 0 ? std::min(shape.window, keys) : keys;
    for (std::int64_t seen = keys - queries + 1; seen <= keys; ++seen) work.pairs += number(std::min(seen, most));
  }
  return work;
}
// A product over all pairs.
double pair_flops(const AttentionShape& shape, const AttentionWork& work) {
  return 2 * work.pairs * number(shape.heads * shape.head_dim);
}
// One tensor of the queries' shape and one of the keys'.
double pair_bytes(const AttentionShape& shape, const AttentionWork& work) {
  return floats((work.queries * shape.heads + work.keys * shape.kv_heads) * shape.head_dim);
}

struct DeltaRuleWork {
  double flops = 0, bytes = 0;  // of forward; one tensor of each of the inputs' shapes
};
DeltaRuleWork work_of(const DeltaRuleExtents& e) {
  std::int64_t tokens = 0;
  for (const DeltaRuleSegment& segment : e.segments) tokens += segment.size();
  const std::int64_t a_head = kDeltaChunk * 2 * (e.key_dim + e.value_dim) + 6 * e.state_size();
  const std::int64_t a_token = 2 * e.key_heads * e.key_dim + e.value_heads * (e.value_dim + e.decay_width() + 1);
  return {number(tokens * e.value_heads) * number(a_head), floats(tokens * a_token)};
}
std::int64_t rows_of(std::span<const SequenceRows> sequences) {
  std::int64_t rows = 0;
  for (const SequenceRows& sequence : sequences) rows += sequence.size();
  return rows;
}
// Of a head's products: those inside a chunk and those with a state, as if every chunk were whole and had one.
double scan_flops(const ScanShape& shape, int inside, int with_state) {
  return 2 * number(rows_of(shape.sequences) * shape.heads * shape.head_dim) *
         number(inside * shape.chunk + with_state * shape.state);
}
double scan_bytes(const ScanShape& shape) {
  return floats(rows_of(shape.sequences) * (shape.heads * (2 * shape.head_dim + 1) + 2 * shape.groups * shape.state));
}

}  // namespace

KernelTable profiled(const KernelTable& table) {
  // A wrapper is a plain function, so the table that it wraps is kept here: one is ever wrapped.
  static KernelTable wrapped;
  wrapped = table;
  KernelTable result = table;
  result.gemm = [](Transpose transpose_a, Transpose transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
                   const float* a, std::int64_t lda, const float* b, std::int64_t ldb, bool accumulate, float* c,
                   std::int64_t ldc) {
    const ProfileScope scope(use_of(transpose_a, transpose_b), 2 * number(m) * number(n) * number(k),
                             floats(m * k + k * n + (accumulate ? 2 : 1) * m * n));
    wrapped.gemm(transpose_a, transpose_b, m, n, k, a, lda, b, ldb, accumulate, c, ldc);
  };
  if (wrapped.gemm_bf16 != nullptr)
    result.gemm_bf16 = [](Transpose transpose_a, Transpose transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
                          const std::uint16_t* a, std::int64_t lda, const std::uint16_t* b, std::int64_t ldb,
                          bool accumulate, float* c, std::int64_t ldc) {
      const ProfileScope scope(use_of_bf16(transpose_a, transpose_b), 2 * number(m) * number(n) * number(k),
                               floats(m * k + k * n) / 2 + floats((accumulate ? 2 : 1) * m * n));
      wrapped.gemm_bf16(transpose_a, transpose_b, m, n, k, a, lda, b, ldb, accumulate, c, ldc);
    };
  result.gemm_in_order = [](std::int64_t m, std::int64_t n, std::int64_t k, auto... operands) {
    const ProfileScope scope("gemm in order", 2 * number(m) * number(n) * number(k), floats(m * k + k * n + m * n));
    wrapped.gemm_in_order(m, n, k, operands...);
  };
  result.gemm_in_order_bf16 = [](std::int64_t m, std::int64_t n, std::int64_t k, auto... operands) {
    const ProfileScope scope("gemm in order BF16", 2 * number(m) * number(n) * number(k),
                             floats(m * k + m * n) + floats(k * n) / 2);
    wrapped.gemm_in_order_bf16(m, n, k, operands...);
  };
  result.gemm_in_order_interleaved = [](std::int64_t m, const InterleavedBF16& b, auto... operands) {
    const ProfileScope scope("gemm in order BF16", 2 * number(m) * number(b.n) * number(b.k),
                             floats(m * b.k + m * b.n) + floats(b.n * b.k) / 2);
    wrapped.gemm_in_order_interleaved(m, b, operands...);
  };
  result.interleave_bf16 = [](std::int64_t n, std::int64_t k, auto... operands) {
    const ProfileScope scope("interleave", 0, floats(n * k));
    wrapped.interleave_bf16(n, k, operands...);
  };
  result.add = [](std::int64_t size, auto... operands) {
    const ProfileScope scope("add", 0, floats(3 * size));
    wrapped.add(size, operands...);
  };
  result.accumulate = [](std::int64_t size, auto... operands) {
    const ProfileScope scope("accumulate", 0, floats(3 * size));
    wrapped.accumulate(size, operands...);
  };
  result.add_bias = [](std::int64_t rows, std::int64_t cols, auto... operands) {
    const ProfileScope scope("add bias", 0, floats(2 * rows * cols));
    wrapped.add_bias(rows, cols, operands...);
  };
  result.accumulate_column_sums = [](std::int64_t rows, std::int64_t cols, auto... operands) {
    const ProfileScope scope("column sums", 0, floats(rows * cols));
    wrapped.accumulate_column_sums(rows, cols, operands...);
  };
  result.sum_of_squares = [](std::int64_t size, const float* x) {
    const ProfileScope scope("sum of squares", 0, floats(size));
    return wrapped.sum_of_squares(size, x);
  };
  result.swiglu_forward = [](std::int64_t size, auto... operands) {
    const ProfileScope scope("swiglu", 0, floats(3 * size));
    wrapped.swiglu_forward(size, operands...);
  };
  result.swiglu_backward = [](std::int64_t size, auto... operands) {
    const ProfileScope scope("swiglu backward", 0, floats(5 * size));
    wrapped.swiglu_backward(size, operands...);
  };
  result.squared_relu_forward = [](std::int64_t size, auto... operands) {
    const ProfileScope scope("squared ReLU", 0, floats(2 * size));
    wrapped.squared_relu_forward(size, operands...);
  };
  result.squared_relu_backward = [](std::int64_t size, auto... operands) {
    const ProfileScope scope("squared ReLU backward", 0, floats(3 * size));
    wrapped.squared_relu_backward(size, operands...);
  };
  result.sigmoid_gated_forward = [](std::int64_t size, auto... operands) {
    const ProfileScope scope("sigmoid gate", 0, floats(3 * size));
    wrapped.sigmoid_gated_forward(size, operands...);
  };
  result.sigmoid_gated_backward = [](std::int64_t size, auto... operands) {
    const ProfileScope scope("sigmoid gate backward", 0, floats(5 * size));
    wrapped.sigmoid_gated_backward(size, operands...);
  };
  result.rms_norm_forward = [](std::int64_t rows, std::int64_t cols, auto... operands) {
    const ProfileScope scope("rms norm", 0, floats(2 * rows * cols));
    wrapped.rms_norm_forward(rows, cols, operands...);
  };
  result.rms_norm_backward = [](std::int64_t rows, std::int64_t cols, auto... operands) {
    const ProfileScope scope("rms norm backward", 0, floats(3 * rows * cols));
    wrapped.rms_norm_backward(rows, cols, operands...);
  };
  result.gated_rms_norm_forward = [](const GatedNormShape& shape, auto... operands) {
    const ProfileScope scope("gated norm", 0, floats(3 * shape.rows * shape.cols));
    wrapped.gated_rms_norm_forward(shape, operands...);
  };
  result.gated_rms_norm_backward = [](const GatedNormShape& shape, auto... operands) {
    const ProfileScope scope("gated norm backward", 0, floats(6 * shape.rows * shape.cols));
    wrapped.gated_rms_norm_backward(shape, operands...);
  };
  result.rope = [](std::int64_t tokens, std::int64_t heads, std::int64_t head_dim, auto... operands) {
    const ProfileScope scope("rope", 0, floats(2 * tokens * heads * head_dim));
    wrapped.rope(tokens, heads, head_dim, operands...);
  };
  result.attention_forward = [](const AttentionShape& shape, auto... operands) {
    const AttentionWork work = work_of(shape);
    const ProfileScope scope("attention", 2 * pair_flops(shape, work), 2 * pair_bytes(shape, work));
    wrapped.attention_forward(shape, operands...);
  };
  result.attention_backward = [](const AttentionShape& shape, auto... operands) {
    const AttentionWork work = work_of(shape);
    const ProfileScope scope("attention backward", 5 * pair_flops(shape, work), 4 * pair_bytes(shape, work));
    wrapped.attention_backward(shape, operands...);
  };
  result.log_decay_forward = [](const LogDecayInput& x, auto... operands) {
    const ProfileScope scope("log decay", 0, floats(2 * x.rows * x.cols));
    wrapped.log_decay_forward(x, operands...);
  };
  result.log_decay_backward = [](const LogDecayInput& x, const float* l, const float* dl,
                                 const LogDecayGradients& gradients) {
    const ProfileScope scope("log decay backward", 0, floats(5 * x.rows * x.cols));
    wrapped.log_decay_backward(x, l, dl, gradients);
  };
  result.delta_rule_forward = [](const DeltaRuleExtents& e, const DeltaRuleTensors<const float>& x, auto... operands) {
    const DeltaRuleWork work = work_of(e);
    const ProfileScope scope("delta rule", work.flops, work.bytes);
    wrapped.delta_rule_forward(e, x, operands...);
  };
  result.delta_rule_backward = [](const DeltaRuleExtents& e, const DeltaRuleTensors<const float>& x,
                                  const float* starts, const float* d_out, const DeltaRuleTensors<float>& gradients) {
    const DeltaRuleWork work = work_of(e);
    const ProfileScope scope("delta rule backward", 2.5 * work.flops, 3 * work.bytes);
    wrapped.delta_rule_backward(e, x, starts, d_out, gradients);
  };
  result.causal_convolution_forward = [](const ConvolutionShape& shape, auto... operands) {
    const ProfileScope scope("convolution", 0, floats(2 * rows_of(shape.sequences) * shape.channels));
    wrapped.causal_convolution_forward(shape, operands...);
  };
  result.causal_convolution_backward = [](const ConvolutionShape& shape, auto... operands) {
    const ProfileScope scope("convolution backward", 0, floats(5 * rows_of(shape.sequences) * shape.channels));
    wrapped.causal_convolution_backward(shape, operands...);
  };
  result.state_space_scan_forward = [](const ScanShape& shape, auto... operands) {
    const ProfileScope scope("scan forward", scan_flops(shape, 1, 2), scan_bytes(shape));
    wrapped.state_space_scan_forward(shape, operands...);
  };
  result.state_space_scan_backward = [](const ScanShape& shape, auto... operands) {
    const ProfileScope scope("scan backward", scan_flops(shape, 2, 5), 2 * scan_bytes(shape));
    wrapped.state_space_scan_backward(shape, operands...);
  };
  result.embedding_forward = [](std::int64_t tokens, std::int64_t cols, auto... operands) {
    const ProfileScope scope("embedding", 0, floats(2 * tokens * cols));
    wrapped.embedding_forward(tokens, cols, operands...);
  };
  result.embedding_forward_bf16 = [](std::int64_t tokens, std::int64_t cols, auto... operands) {
    const ProfileScope scope("embedding", 0, 1.5 * floats(tokens * cols));
    wrapped.embedding_forward_bf16(tokens, cols, operands...);
  };
  result.embedding_backward = [](std::int64_t tokens, std::int64_t cols, auto... operands) {
    const ProfileScope scope("embedding backward", 0, floats(3 * tokens * cols));
    wrapped.embedding_backward(tokens, cols, operands...);
  };
  result.copy_rows = [](std::int64_t rows, std::size_t row_bytes, auto... operands) {
    const ProfileScope scope("copy rows", 0, 2 * number(rows) * static_cast<double>(row_bytes));
    wrapped.copy_rows(rows, row_bytes, operands...);
  };
  result.row_loss = [](RowLoss kind, const RowLossInput& input, bool gradient, auto... operands) {
    const int matrices = 1 + (input.teacher != nullptr ? 1 : 0) + (gradient ? 1 : 0);
    const ProfileScope scope("softmax and loss", 0, floats(matrices * input.rows * input.vocabulary));
    wrapped.row_loss(kind, input, gradient, operands...);
  };
  result.row_figures = [](std::int64_t rows, std::int64_t vocabulary, const float* student, const float* teacher,
                          const std::int32_t* labels, const RowFigures& figures) {
    const ProfileScope scope("softmax and figures", 0, floats(2 * rows * vocabulary));
    wrapped.row_figures(rows, vocabulary, student, teacher, labels, figures);
  };
  result.adamw = [](std::int64_t size, const AdamWUpdate& update, auto... operands) {
    const ProfileScope scope("AdamW", 0, floats(7 * size));
    wrapped.adamw(size, update, operands...);
  };
  result.adamw_bf16 = [](std::int64_t size, const AdamWUpdate& update, auto... operands) {
    const ProfileScope scope("AdamW", 0, floats(5 * size));
    wrapped.adamw_bf16(size, update, operands...);
  };
  return result;
}

}  // namespace qad::kernels
