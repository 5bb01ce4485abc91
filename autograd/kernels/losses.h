// Losses between rows of logits, each with its gradient, and the figures by which a student is judged.
// All work row by row in place: the student's logits become the gradient with respect to them.
#pragma once

#include <cstdint>

namespace qad::kernels {

enum class RowLoss : std::uint8_t {
  kl_forward,     ///< T²·KL(softmax(t/T) ‖ softmax(s/T))
  kl_reverse,     ///< T²·KL(softmax(s/T) ‖ softmax(t/T))
  logit_mse,      ///< mean over the vocabulary of (s - t)²
  cross_entropy,  ///< -log softmax(s)[label]; rows with label -1 are zero
};

struct RowLossInput {
  std::int64_t rows, vocabulary;
  const float* teacher;        ///< [rows, vocabulary] logits; null for cross_entropy
  const std::int32_t* labels;  ///< [rows]; only read by cross_entropy
  const float* weights;        ///< [rows]; a row's loss and gradient are multiplied by it, 0 skips the row
  float temperature;           ///< T; ignored by logit_mse and cross_entropy
};

/// student [rows, vocabulary]: logits in; out comes d(sum over rows of weight·loss)/d(logits), unless `gradient` is
/// false, in which case the contents are undefined. losses [rows] receives the unweighted loss of each row, in double
/// so that a mean over a step does not depend on chunking; 0 where the weight is 0.
void row_loss(RowLoss kind, const RowLossInput& input, bool gradient, float* student, double* losses);

/// Per-row figures of a student against its teacher.
struct RowFigures {
  double* kl;                     ///< KL(teacher ‖ student), nats
  double* cross_entropy;          ///< of the student to the label; NaN for label -1
  double* teacher_cross_entropy;  ///< of the teacher to the label; NaN for label -1
  std::uint8_t* same_top1;        ///< 1 if both have their largest logit at the same id (the lower id on a tie)
};
void row_figures(std::int64_t rows, std::int64_t vocabulary, const float* student, const float* teacher,
                 const std::int32_t* labels, const RowFigures& figures);

}  // namespace qad::kernels
