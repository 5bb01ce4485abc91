// The output head and a loss over the vocabulary in one op. Tokens go in chunks: logits of student and teacher for a
// few rows, loss, gradient, next chunk. No [tokens, vocabulary] tensor ever exists, and nothing is approximated.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "autograd/kernels/losses.h"
#include "autograd/ops/linear.h"
#include "autograd/tape/variable.h"

namespace qad {

/// A frozen head and what it reads: logits = hidden·weightᵀ.
struct TeacherHead {
  Variable hidden;                        ///< [tokens, hidden], past the head's input slot
  std::shared_ptr<const Operand> weight;  ///< [vocabulary, hidden]
};

struct FusedLossConfig {
  kernels::RowLoss kind = kernels::RowLoss::kl_forward;
  float temperature = 1.0f;
  /// Memory for the logits of one chunk, student's and teacher's together.
  std::size_t chunk_bytes = std::size_t{32} << 20;
};

struct FusedLoss {
  Variable loss;             ///< one element: sum over tokens of row_weight·loss; the root of backward
  double value = 0;          ///< the same in double
  std::vector<double> rows;  ///< loss of each token, unweighted
};

/// Loss of logits = hidden·head_weightᵀ against the teacher's (or the labels, for cross_entropy).
/// hidden [tokens, hidden], head_weight [vocabulary, hidden], row_weights [tokens] (0 skips a token), labels [tokens].
///   With g = dloss/dlogits of a chunk:  dhidden = g·weight,  dweight += gᵀ·hidden
/// The gradient is computed together with the loss, so `loss` must be the root of backward (its own gradient is 1).
[[nodiscard]] FusedLoss fused_linear_loss(const Variable& hidden, const ParameterOperand& head_weight,
                                          const TeacherHead* teacher, std::span<const std::int32_t> labels,
                                          std::span<const float> row_weights, const FusedLossConfig& config);

/// Rows whose logits (student's, and the teacher's: `logit_matrices` is 1 or 2) are there at a time: a multiple of 16
/// that fits into the chunk's memory, but at least 64, since each chunk reads the whole head several times.
[[nodiscard]] std::int64_t logit_chunk_rows(std::size_t chunk_bytes, std::int64_t vocabulary, std::int64_t rows,
                                            int logit_matrices);

/// Figures of a student against its teacher, one entry a token (kernels::RowFigures says what each is).
struct TokenFigures {
  std::vector<double> kl, cross_entropy, teacher_cross_entropy;
  std::vector<std::uint8_t> same_top1;
};
[[nodiscard]] TokenFigures fused_linear_figures(const TeacherHead& student, const TeacherHead& teacher,
                                                std::span<const std::int32_t> labels, std::size_t chunk_bytes);

}  // namespace qad
