#include "autograd/ops/experts.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "autograd/base/error.h"
#include "autograd/base/parallel.h"
#include "autograd/base/profile.h"
#include "autograd/base/random.h"
#include "autograd/ops/rows.h"

namespace qad {
namespace {

constexpr std::int64_t kRoutedRows = 16;

// Calls visit(row) for all rows, on all threads.
template <class Visit>
void for_each_row(std::int64_t rows, Visit&& visit) {
  parallel_for(rows, kRoutedRows, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) visit(row);
  });
}

// Each sum in order; four of them side by side, so that no addition waits for the one before.
void four_inner_products(const std::array<const float*, 4>& a, const std::array<const float*, 4>& b, std::int64_t size,
                         std::array<float, 4>& sums) {
  float s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  for (std::int64_t i = 0; i < size; ++i) {
    s0 += a[0][i] * b[0][i];
    s1 += a[1][i] * b[1][i];
    s2 += a[2][i] * b[2][i];
    s3 += a[3][i] * b[3][i];
  }
  sums = {s0, s1, s2, s3};
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

void sigmoid_row(const float* scores, std::int64_t size, float* out) {
  for (std::int64_t e = 0; e < size; ++e) out[e] = 1.0f / (1.0f + std::exp(-scores[e]));
}

// The k largest of `values` by index, the largest first, the lower index on a tie.
std::vector<std::int32_t> largest(const std::vector<float>& values, std::int64_t k) {
  std::vector<std::int32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  const auto is_before = [&](std::int32_t a, std::int32_t b) {
    const float x = values[static_cast<std::size_t>(a)], y = values[static_cast<std::size_t>(b)];
    return x != y ? x > y : a < b;
  };
  std::partial_sort(order.begin(), order.begin() + k, order.end(), is_before);
  order.resize(static_cast<std::size_t>(k));
  return order;
}

// Experts of groups that are not taken lose all hope.
void leave_best_groups(const RoutingRule& rule, std::vector<float>& choice) {
  const auto size = std::ssize(choice) / rule.groups;
  std::vector<float> scores;
  for (std::int64_t group = 0; group < rule.groups; ++group) {
    const auto first = choice.begin() + group * size;
    const std::vector<float> own(first, first + size);
    const std::vector<std::int32_t> best =
        largest(own, rule.choice_bias.defined() ? std::min<std::int64_t>(2, size) : 1);
    float score = 0;
    for (const std::int32_t e : best) score += own[static_cast<std::size_t>(e)];
    scores.push_back(score);
  }
  const std::vector<std::int32_t> taken = largest(scores, rule.groups_taken);
  for (std::int32_t group = 0; group < rule.groups; ++group)
    if (std::ranges::count(taken, group) == 0)
      std::fill_n(choice.begin() + group * size, size, -std::numeric_limits<float>::infinity());
}

// d_probabilities [E] of one token from those of its weights.
void probability_gradient(const RoutingRule& rule, const float* dw, const float* w, const std::int32_t* experts,
                          float total, float* dp) {
  const std::int64_t k = rule.experts_per_token;
  const float mean = rule.normalize ? std::inner_product(dw, dw + k, w, 0.0f) : 0.0f;
  for (std::int64_t j = 0; j < k; ++j)
    dp[experts[j]] = rule.normalize ? (rule.scale * dw[j] - mean) / total : rule.scale * dw[j];
}

// d_scores [E] of one token from those of its probabilities p.
void score_gradient(RouterScores scores, const float* dp, const float* p, std::int64_t experts, float* out) {
  if (scores == RouterScores::sigmoid) {
    for (std::int64_t e = 0; e < experts; ++e) out[e] = dp[e] * p[e] * (1.0f - p[e]);
    return;
  }
  const float mean = std::inner_product(dp, dp + experts, p, 0.0f);
  for (std::int64_t e = 0; e < experts; ++e) out[e] = p[e] * (dp[e] - mean);
}

}  // namespace

Routing route(const Variable& scores, const RoutingRule& rule) {
  const std::int64_t tokens = scores.value().rows(), experts = scores.value().cols(), k = rule.experts_per_token;
  QAD_ASSERT(0 < k && k <= experts && experts % rule.groups == 0 && rule.groups_taken <= rule.groups);
  const Tensor p({tokens, experts}), w({tokens, k}), totals({tokens});
  const auto chosen = std::make_shared<std::vector<std::int32_t>>(static_cast<std::size_t>(tokens * k));
  const ProfileScope scope("route");
  for_each_row(tokens, [&](std::int64_t t) {
    float* row = p.data() + t * experts;
    const auto probabilities = rule.scores == RouterScores::softmax ? softmax_row : sigmoid_row;
    probabilities(scores.value().data() + t * experts, experts, row);
    std::vector<float> choice(row, row + experts);
    if (rule.choice_bias.defined())
      for (std::int64_t e = 0; e < experts; ++e) choice[static_cast<std::size_t>(e)] += rule.choice_bias.data()[e];
    if (rule.groups > 1) leave_best_groups(rule, choice);
    const std::vector<std::int32_t> order = largest(choice, k);
    std::ranges::copy(order, chosen->begin() + t * k);
    float total = rule.scores == RouterScores::sigmoid ? 1e-20f : 0.0f;  // as DeepSeek-V3 has it
    for (const std::int32_t e : order) total += row[e];
    totals.data()[t] = total;
    for (std::int64_t j = 0; j < k; ++j)
      w.data()[t * k + j] = rule.scale * (row[order[static_cast<std::size_t>(j)]] / (rule.normalize ? total : 1.0f));
  });
  if (loops_are_dry()) choose_for_dry_run(experts, *chosen);
  Variable weights = record(
      "route", w, {scores}, [x = scores.sink(), p, w, totals, chosen, tokens, experts, k, rule](const Tensor& dw) {
        const ProfileScope backward_scope("route backward");
        Tensor d_scores({tokens, experts});
        for_each_row(tokens, [&](std::int64_t t) {
          std::vector<float> dp(static_cast<std::size_t>(experts), 0.0f);
          probability_gradient(rule, dw.data() + t * k, w.data() + t * k, chosen->data() + t * k, totals.data()[t],
                               dp.data());
          score_gradient(rule.scores, dp.data(), p.data() + t * experts, experts, d_scores.data() + t * experts);
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
    const ProfileScope scope("gather tokens backward", 0, 3.0 * static_cast<double>(dy.bytes()));
    const auto [dx, fresh] = x->buffer({tokens, cols});
    if (fresh) dx.fill(0.0f);
    const float* const rows_of_dy = dy.data();
    float* const rows_of_dx = dx.data();
    for_each_row(rows, [&](std::int64_t r) {  // no token comes twice
      const float* const from = rows_of_dy + r * cols;
      float* const to = rows_of_dx + token_of(r) * cols;
      for (std::int64_t c = 0; c < cols; ++c) to[c] += from[c];
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
  {
    const ProfileScope scope("add routed", 0, 3.0 * static_cast<double>(output.value().bytes()));
    const float *const w = weights.data(), *const added = output.value().data();
    float* const sums = out.data();
    for_each_row(rows, [&](std::int64_t r) {
      const std::int64_t place = place_of(r);
      const float weight = w[place];
      const float* const from = added + r * cols;
      float* const to = sums + place / k * cols;
      for (std::int64_t c = 0; c < cols; ++c) to[c] += weight * from[c];
    });
  }
  return record("add routed", std::move(out), {sum, output, routing.weights},
                [sum_sink = sum.sink(), output_sink = output.sink(), weights_sink = routing.weights.sink(), weights,
                 output = output.value(), place_of, rows, cols, k](const Tensor& dy) {
                  const ProfileScope scope("add routed backward", 0, 4.0 * static_cast<double>(output.bytes()));
                  const float* const d_sums = dy.data();
                  if (weights_sink != nullptr) {
                    const auto [dw, fresh] = weights_sink->buffer(weights.shape());
                    if (fresh) dw.fill(0.0f);
                    const float* const outputs = output.data();
                    float* const dws = dw.data();
                    for_each_row((rows + 3) / 4, [&](std::int64_t four) {
                      std::array<const float*, 4> d{}, own{};
                      std::array<float, 4> sums{};
                      for (std::size_t i = 0; i < 4; ++i) {  // the last row again where there is none
                        const std::int64_t r = std::min(4 * four + static_cast<std::int64_t>(i), rows - 1);
                        d[i] = d_sums + place_of(r) / k * cols;
                        own[i] = outputs + r * cols;
                      }
                      four_inner_products(d, own, cols, sums);
                      for (std::int64_t r = 4 * four; r < std::min(4 * four + 4, rows); ++r)
                        dws[place_of(r)] += sums[static_cast<std::size_t>(r - 4 * four)];
                    });
                  }
                  if (output_sink != nullptr) {
                    Tensor d_output({rows, cols});
                    const float* const w = weights.data();
                    float* const to_all = d_output.data();
                    for_each_row(rows, [&](std::int64_t r) {
                      const std::int64_t place = place_of(r);
                      const float weight = w[place];
                      const float* const d = d_sums + place / k * cols;
                      float* const to = to_all + r * cols;
                      for (std::int64_t c = 0; c < cols; ++c) to[c] = weight * d[c];
                    });
                    output_sink->give(std::move(d_output));
                  }
                  if (sum_sink != nullptr) sum_sink->share(dy);
                });
}

}  // namespace qad
