// What a mixture of experts adds to dense layers: the choice of experts for each token, and the way of rows to an
// expert and back.
//
// Shapes: T tokens, E experts, k experts a token, C columns, R rows that go to one expert.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "autograd/tape/variable.h"

namespace qad {

struct Routing {
  std::int64_t experts_per_token = 0;                        ///< k
  std::shared_ptr<const std::vector<std::int32_t>> experts;  ///< [T·k]: of each token, the likeliest first
  Variable weights;                                          ///< [T, k]
};

enum class RouterScores : std::uint8_t { softmax, sigmoid };

struct RoutingRule {
  std::int64_t experts_per_token = 1;  ///< k
  bool normalize = true;               ///< the weights of a token sum to `scale`
  RouterScores scores = RouterScores::softmax;
  std::int64_t groups = 1, groups_taken = 1;  ///< experts are taken from the best groups of E/groups neighbours alone
  float scale = 1.0f;
  Tensor choice_bias{};  ///< [E] in FP32, or undefined: moves the choice, and no weight
};

/// p = softmax of each row of scores [T, E], or σ of each score; c = p + choice_bias. A group is as good as its best
/// expert, or with a bias as its two best together. The k experts of the largest c (the lower index on a tie) have
/// weights w = scale·p, or, if `normalize`, scale·p/Σp over these k (Shazeer et al., 2017; DeepSeek-V3, 2024,
/// https://arxiv.org/abs/2412.19437, section 2.1.2).
///   dp = scale·dw, or (scale·dw - ⟨dw, w⟩)/Σp; 0 for experts that were not taken
///   dscores = p ⊙ (dp - ⟨dp, p⟩), or dp ⊙ p ⊙ (1 - p)
[[nodiscard]] Routing route(const Variable& scores, const RoutingRule& rule);

/// Where the rows of one expert come from: place t·k + j is choice j of token t.
using RoutedRows = std::shared_ptr<const std::vector<std::int64_t>>;
/// Of every expert, in the order of the tokens.
[[nodiscard]] std::vector<RoutedRows> rows_by_expert(const Routing& routing, std::int64_t experts);

/// y[r] = x[token of places[r]]; x [T, C] in FP32 or BF16 -> [R, C].
///   dx[token] += dy[r]
[[nodiscard]] Variable gather_tokens(const Variable& x, const RoutedRows& places, std::int64_t experts_per_token);

/// sum [T, C], to which each row of an expert's output [R, C] is added with its weight; written over if nobody else
/// holds it.
///   d_sum = dy,  d_output[r] = w·dy[token],  dw = ⟨dy[token], output[r]⟩
[[nodiscard]] Variable add_routed(Variable sum, const Variable& output, const RoutedRows& places,
                                  const Routing& routing);

}  // namespace qad
