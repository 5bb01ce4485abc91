#include "autograd/ops/experts.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"
#include "autograd/base/random.h"
#include "autograd/ops/rows.h"

namespace qad {
namespace {

constexpr std::int64_t kChunkRows = 16;

// Calls visit(row) for all rows, on all threads.
template <class Visit>
void for_each_row(std::int64_t rows, Visit&& visit) {
  parallel_for(rows, kChunkRows, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) visit(row);
  });
}

void softmax_row(const float* scores, std::int64_t size, float* out) {
  const float largest = *std::max_element(scores, scores + size);
  float sum = 0;
  for (std::int64_t e = 0; e < size; ++e) sum += out[e] = std::exp(scores[e] - largest);
  for (std::int64_t e = 0; e < size; ++e) out[e] /= sum;
}

// No values, no choice: experts that are unevenly liked, others in every call, as routers have it.
void choose_for_dry_run(std::int64_t experts, std::vector<std::int32_t>& chosen) {
  static std::uint64_t calls = 0;
  Random random(++calls, stream_of("dry routing"));
  std::vector<double> up_to(static_cast<std::size_t>(experts));
  double sum = 0;
  for (double& bound : up_to) bound = sum += 0.5 + random.uniform();
  for (std::int32_t& expert : chosen)
    expert = static_cast<std::int32_t>(std::ranges::upper_bound(up_to, sum * random.uniform()) - up_to.begin());
}

// d_probabilities [E] of one token from those of its weights.
void probability_gradient(const float* dw, const float* w, const std::int32_t* experts, std::int64_t k, float total,
                          bool normalize, float* dp) {
  const float mean = normalize ? std::inner_product(dw, dw + k, w, 0.0f) : 0.0f;
  for (std::int64_t j = 0; j < k; ++j) dp[experts[j]] = normalize ? (dw[j] - mean) / total : dw[j];
}

}  // namespace

Routing route(const Variable& scores, std::int64_t experts_per_token, bool normalize) {
  const std::int64_t tokens = scores.value().rows(), experts = scores.value().cols(), k = experts_per_token;
  QAD_ASSERT(0 < k && k <= experts);
  const Tensor p({tokens, experts}), w({tokens, k}), totals({tokens});
  const auto chosen = std::make_shared<std::vector<std::int32_t>>(static_cast<std::size_t>(tokens * k));
  for_each_row(tokens, [&](std::int64_t t) {
    float* row = p.data() + t * experts;
    softmax_row(scores.value().data() + t * experts, experts, row);
    std::vector<std::int32_t> order(static_cast<std::size_t>(experts));
    std::iota(order.begin(), order.end(), 0);
    std::partial_sort(order.begin(), order.begin() + k, order.end(),
                      [&](std::int32_t a, std::int32_t b) { return row[a] != row[b] ? row[a] > row[b] : a < b; });
    std::copy_n(order.begin(), k, chosen->begin() + t * k);
    float total = 0;
    for (std::int64_t j = 0; j < k; ++j) total += row[order[static_cast<std::size_t>(j)]];
    totals.data()[t] = total;
    for (std::int64_t j = 0; j < k; ++j)
      w.data()[t * k + j] = row[order[static_cast<std::size_t>(j)]] / (normalize ? total : 1.0f);
  });
  if (loops_are_dry()) choose_for_dry_run(experts, *chosen);
  Variable weights = record("route", w, {scores},
                            [x = scores.sink(), p, w, totals, chosen, tokens, experts, k, normalize](const Tensor& dw) {
                              Tensor d_scores({tokens, experts});
                              for_each_row(tokens, [&](std::int64_t t) {
                                std::vector<float> dp(static_cast<std::size_t>(experts), 0.0f);
                                probability_gradient(dw.data() + t * k, w.data() + t * k, chosen->data() + t * k, k,
                                                     totals.data()[t], normalize, dp.data());
                                const float* row = p.data() + t * experts;
                                const float mean = std::inner_product(dp.begin(), dp.end(), row, 0.0f);
                                for (std::int64_t e = 0; e < experts; ++e)
                                  d_scores.data()[t * experts + e] = row[e] * (dp[static_cast<std::size_t>(e)] - mean);
                              });
                              x->give(std::move(d_scores));
                            });
  return {k, chosen, std::move(weights)};
}

std::vector<RoutedRows> rows_by_expert(const Routing& routing, std::int64_t experts) {
  std::vector<std::vector<std::int64_t>> rows(static_cast<std::size_t>(experts));
  for (std::size_t place = 0; place < routing.experts->size(); ++place)
    rows[static_cast<std::size_t>((*routing.experts)[place])].push_back(static_cast<std::int64_t>(place));
  std::vector<RoutedRows> shared;
  for (auto& of_one : rows) shared.push_back(std::make_shared<const std::vector<std::int64_t>>(std::move(of_one)));
  return shared;
}

Variable gather_tokens(const Variable& x, const RoutedRows& places, std::int64_t experts_per_token) {
  const auto rows = std::ssize(*places);
  const std::int64_t cols = x.shape().cols(), tokens = x.shape().rows();
  const auto token_of = [places, experts_per_token](std::int64_t row) {
    return (*places)[static_cast<std::size_t>(row)] / experts_per_token;
  };
  std::vector<std::int64_t> tokens_of_rows;
  for (std::int64_t r = 0; r < rows; ++r) tokens_of_rows.push_back(token_of(r));
  const bool has_value = x.value().defined();
  Tensor out = has_value ? gather_rows(x.value(), tokens_of_rows) : Tensor();
  const auto backward = [x = x.sink(), token_of, rows, cols, tokens](const Tensor& dy) {
    const auto [dx, fresh] = x->buffer({tokens, cols});
    if (fresh) dx.fill(0.0f);
    for_each_row(rows, [&, dx = dx](std::int64_t r) {  // no token comes twice
      for (std::int64_t c = 0; c < cols; ++c) dx.data()[token_of(r) * cols + c] += dy.data()[r * cols + c];
    });
  };
  return record("gather tokens", std::move(out), {x}, backward,
                has_value ? nullptr : x.operand()->gather(tokens_of_rows));
}

Variable add_routed(Variable sum, const Variable& output, const RoutedRows& places, const Routing& routing) {
  const std::int64_t cols = sum.value().cols(), k = routing.experts_per_token;
  const auto rows = std::ssize(*places);
  QAD_ASSERT(output.value().rows() == rows && output.value().cols() == cols);
  Tensor out = sum.value().reusable();
  if (out.data() != sum.value().data()) out.copy_from(sum.value());
  const auto place_of = [places](std::int64_t row) { return (*places)[static_cast<std::size_t>(row)]; };
  const Tensor weights = routing.weights.value();
  for_each_row(rows, [&](std::int64_t r) {
    const float weight = weights.data()[place_of(r)];
    float* target = out.data() + place_of(r) / k * cols;
    for (std::int64_t c = 0; c < cols; ++c) target[c] += weight * output.value().data()[r * cols + c];
  });
  return record("add routed", std::move(out), {sum, output, routing.weights},
                [sum_sink = sum.sink(), output_sink = output.sink(), weights_sink = routing.weights.sink(), weights,
                 output = output.value(), place_of, rows, cols, k](const Tensor& dy) {
                  if (weights_sink != nullptr) {
                    const auto [dw, fresh] = weights_sink->buffer(weights.shape());
                    if (fresh) dw.fill(0.0f);
                    for_each_row(rows, [&, dw = dw](std::int64_t r) {
                      const float* d = dy.data() + place_of(r) / k * cols;
                      dw.data()[place_of(r)] += std::inner_product(d, d + cols, output.data() + r * cols, 0.0f);
                    });
                  }
                  if (output_sink != nullptr) {
                    Tensor d_output({rows, cols});
                    for_each_row(rows, [&](std::int64_t r) {
                      const float* d = dy.data() + place_of(r) / k * cols;
                      for (std::int64_t c = 0; c < cols; ++c)
                        d_output.data()[r * cols + c] = weights.data()[place_of(r)] * d[c];
                    });
                    output_sink->give(std::move(d_output));
                  }
                  if (sum_sink != nullptr) sum_sink->share(dy);
                });
}

}  // namespace qad
