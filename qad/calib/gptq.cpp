#include "qad/calib/gptq.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <numeric>
#include <utility>

#include "autograd/base/interrupt.h"
#include "autograd/base/log.h"
#include "autograd/base/parallel.h"
#include "autograd/kernels/table.h"
#include "qad/calib/algorithms.h"
#include "qad/calib/cholesky.h"
#include "qad/calib/seen_inputs.h"
#include "qad/formats/block_scales.h"

namespace qad {
namespace {

using kernels::Transpose;

constexpr std::int64_t kSweepRows = 16;  // of a weight at a time
constexpr double kLeastDamping = 1e-6, kMostDamping = 1;

struct Moments {
  std::int64_t tokens = 0;
  Tensor sum;  // of x·xᵀ, [K, K]
};

void add(const Tensor& x, Moments& moments) {
  const std::int64_t cols = x.cols();
  const bool fresh = moments.tokens == 0;
  if (fresh) moments.sum = Tensor({cols, cols});
  kernel_table(x.device())
      .gemm(Transpose::yes, Transpose::no, cols, cols, x.rows(), x.data(), cols, x.data(), cols, !fresh,
            moments.sum.data(), cols);
  moments.tokens += x.rows();
}

// Of the codes in use, as they stay from now on.
QuantizedTensor fix_scales(const LinearQuantizers& linear) {
  QuantizedTensor codes = linear.weights->codes(linear.weight->value(), linear.weight->version());
  linear.weights->set_block_scales(codes.scales);
  return codes;
}

// Rows of a weight on their way, with what rounds them.
class Sweep {
 public:
  Sweep(const QuantizedTensor& scales, const ErrorPaths& paths, std::int64_t block_size)
      : scales_(scales), paths_(paths), block_size_(block_size) {}

  // Rows [begin, end) of w.
  void run(std::int64_t begin, std::int64_t end, float* w) const {
    const std::int64_t cols = scales_.cols, rows = end - begin;
    const auto n = static_cast<std::size_t>(cols);
    std::vector<double> moving(n * static_cast<std::size_t>(rows)), errors(moving.size());
    std::vector<float> scale(moving.size());
    for (std::int64_t r = 0; r < rows; ++r) {
      divisors_of_row(scales_, begin + r, scale.data() + r * cols);
      for (std::int64_t i = 0; i < cols; ++i)
        moving[static_cast<std::size_t>(r * cols + i)] = w[(begin + r) * cols + column(i)];
    }
    for (std::int64_t first = 0; first < cols; first += block_size_) {
      const std::int64_t stop = std::min(cols, first + block_size_);
      for (std::int64_t r = 0; r < rows; ++r)
        for (std::int64_t i = first; i < stop; ++i) {
          const auto at = static_cast<std::size_t>(r * cols + i);
          const auto value = static_cast<float>(moving[at]);
          w[(begin + r) * cols + column(i)] = value;
          const float step = scale[static_cast<std::size_t>(r * cols + column(i))];
          const float rounded = scales_.format->element->value(scales_.format->element->encode(value / step)) * step;
          errors[at] = (moving[at] - static_cast<double>(rounded)) / factor(i, i);
          go_on(errors[at], i, i + 1, stop, moving.data() + r * cols);
        }
      for (std::int64_t i = first; i < stop; ++i)
        for (std::int64_t r = 0; r < rows; ++r)
          go_on(errors[static_cast<std::size_t>(r * cols + i)], i, stop, cols, moving.data() + r * cols);
    }
  }

 private:
  [[nodiscard]] std::int64_t column(std::int64_t i) const { return paths_.order[static_cast<std::size_t>(i)]; }
  [[nodiscard]] double factor(std::int64_t i, std::int64_t j) const {
    return paths_.factor[static_cast<std::size_t>(i * scales_.cols + j)];
  }
  void go_on(double error, std::int64_t i, std::int64_t begin, std::int64_t end, double* row) const {
    const double* const path = paths_.factor.data() + i * scales_.cols;
    for (std::int64_t j = begin; j < end; ++j) row[j] -= error * path[j];
  }

  const QuantizedTensor& scales_;
  const ErrorPaths& paths_;
  std::int64_t block_size_;
};

}  // namespace

ErrorPaths error_paths(const Tensor& moments, const GptqConfig& config) {
  const std::int64_t n = moments.rows();
  const auto diagonal = [&](std::int64_t i) { return moments.data()[i * n + i]; };
  ErrorPaths paths;
  paths.order.resize(static_cast<std::size_t>(n));
  std::iota(paths.order.begin(), paths.order.end(), 0);
  if (config.order == ColumnOrder::largest_first)
    std::ranges::stable_sort(paths.order, std::ranges::greater(), diagonal);
  double mean = 0;
  for (std::int64_t i = 0; i < n; ++i) mean += static_cast<double>(diagonal(i)) / static_cast<double>(n);
  if (!(mean > 0)) return paths;
  std::vector<double> ordered(static_cast<std::size_t>(n * n));
  for (double damping = config.damping; damping <= kMostDamping; damping = std::max(10 * damping, kLeastDamping)) {
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j <= i; ++j) {
        const std::int64_t a = paths.order[static_cast<std::size_t>(i)], b = paths.order[static_cast<std::size_t>(j)];
        const double value = moments.data()[std::max(a, b) * n + std::min(a, b)];
        // Nothing goes to or from a column without inputs, whatever its diagonal.
        ordered[static_cast<std::size_t>(i * n + j)] = i != j ? value : (value > 0 ? value : mean) + damping * mean;
      }
    paths.damping = damping;
    paths.factor = inverse_factor(n, ordered);
    if (!paths.factor.empty()) break;
  }
  return paths;
}

void compensate(const QuantizedTensor& scales, const ErrorPaths& paths, std::int64_t block_size, float* w) {
  if (paths.factor.empty()) return;
  const Sweep sweep(scales, paths, block_size);
  parallel_for(scales.rows, kSweepRows, [&](std::int64_t begin, std::int64_t end) { sweep.run(begin, end, w); });
}

void compensate_errors(std::span<const LinearQuantizers* const> linears, const ShowInputs& show_inputs,
                       const CalibrateConfig& config) {
  find_fixed_scales(config.gptq.scales, linears, show_inputs, config);
  std::map<const LinearQuantizers*, std::shared_ptr<Moments>> seen;
  show_read(linears, show_inputs, [&](const ReadersOfOne& readers, const Tensor&, const Tensor& read) {
    auto& moments = seen[readers.front()];
    if (moments == nullptr) moments = std::make_shared<Moments>();
    for (const LinearQuantizers* one : readers) seen[one] = seen[readers.front()];
    add(read, *moments);
  });
  std::vector<std::string> few, damped;
  std::shared_ptr<Moments> of;  // whose paths these are
  ErrorPaths paths;
  for (const LinearQuantizers* linear : linears) {
    throw_if_stopped();
    const QuantizedTensor scales = fix_scales(*linear);
    const auto found = seen.find(linear);
    const std::int64_t tokens = found == seen.end() ? 0 : found->second->tokens;
    if (tokens < scales.cols) few.push_back(fmt::format("{} ({} for {})", linear->layer, tokens, scales.cols));
    // The moments as they are taken, the factor and its inverse.
    const Tensor planned = tokens > 0 ? planned_doubles(3 * scales.cols * scales.cols) : Tensor();
    if (tokens == 0 || loops_are_dry()) continue;
    if (of != found->second) {
      of = found->second;
      paths = error_paths(of->sum, config.gptq);
    }
    if (paths.factor.empty()) damped.push_back(linear->layer + " (rounded to nearest)");
    else if (paths.damping > config.gptq.damping)
      damped.push_back(fmt::format("{} ({})", linear->layer, paths.damping));
    compensate(scales, paths, config.gptq.block_size, linear->weight->value().data());
    linear->weight->changed();
  }
  if (!few.empty())
    log_warning(
        "gptq: fewer tokens than columns came to {} layers, where damping decides much and no token means round "
        "to nearest: {}; calibrate.tokens sets how many are read",
        few.size(), first_names(few));
  if (!damped.empty())
    log_warning("gptq: damping {} leaves the moments of the inputs of {} layers not positive definite; took more: {}",
                config.gptq.damping, damped.size(), first_names(damped));
}

}  // namespace qad
