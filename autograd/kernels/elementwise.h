// Elementwise kernels and reductions over a whole buffer. "y +=" kernels accumulate, all others overwrite.
#pragma once

#include <cstdint>

namespace qad::kernels {

void add(std::int64_t size, const float* a, const float* b, float* out);
/// y += x
void accumulate(std::int64_t size, const float* x, float* y);
/// x[r, :] += bias for each of `rows` rows
void add_bias(std::int64_t rows, std::int64_t cols, const float* bias, float* x);
/// out[c] += sum over r of x[r, c]; fixed chunks of rows, so the same bits at any thread count.
void accumulate_column_sums(std::int64_t rows, std::int64_t cols, const float* x, float* out);
/// Sum of squares in double over fixed chunks, whose sums are added in order.
constexpr std::int64_t kSumChunk = 1 << 14;
double sum_of_squares(std::int64_t size, const float* x);

/// out = silu(gate)·up, silu(z) = z / (1 + exp(-z)).
void swiglu_forward(std::int64_t size, const float* gate, const float* up, float* out);
/// d_gate = d_out·up·silu'(gate), d_up = d_out·silu(gate).
void swiglu_backward(std::int64_t size, const float* gate, const float* up, const float* d_out, float* d_gate,
                     float* d_up);

/// out = max(x, 0)²;  dx = 2·max(x, 0)·d_out.
void squared_relu_forward(std::int64_t size, const float* x, float* out);
void squared_relu_backward(std::int64_t size, const float* x, const float* d_out, float* dx);

/// out = x·σ(gate);  dx = d_out·σ(gate), d_gate = d_out·x·σ'(gate).
void sigmoid_gated_forward(std::int64_t size, const float* x, const float* gate, float* out);
void sigmoid_gated_backward(std::int64_t size, const float* x, const float* gate, const float* d_out, float* dx,
                            float* d_gate);

}  // namespace qad::kernels
