#include "qad/calib/local_hessian.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>

#include "autograd/base/interrupt.h"
#include "autograd/base/log.h"
#include "autograd/base/parallel.h"
#include "qad/calib/seen_inputs.h"
#include "qad/formats/block_scales.h"

namespace qad {
namespace {

struct SeenBlocks {
  std::int64_t tokens = 0;
  BlockMoments moments;
  Tensor planned;
};

// sum += Σ of a·bᵀ over tokens, in their order, by blocks of the columns of a and b [T, cols].
void add_products(const Tensor& a, const Tensor& b, std::int64_t block, std::vector<double>& sum) {
  const std::int64_t cols = a.cols();
  sum.resize(static_cast<std::size_t>(cols * block));
  parallel_for(cols / block, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = 0; t < a.rows(); ++t)
      for (std::int64_t i = begin * block; i < end * block; ++i) {
        const double left = a.data()[t * cols + i];
        const float* const right = b.data() + t * cols + i / block * block;
        double* const row = sum.data() + i * block;
        for (std::int64_t j = 0; j < block; ++j) row[j] += left * static_cast<double>(right[j]);
      }
  });
}

Tensor difference(const Tensor& a, const Tensor& b) {
  Tensor result(a.shape());
  parallel_for(a.size(), 1 << 14, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) result.data()[i] = a.data()[i] - b.data()[i];
  });
  return result;
}

}  // namespace

void find_scales_by_outputs(std::span<const LinearQuantizers* const> all, const ShowInputs& show_inputs,
                            const CalibrateConfig& /*config*/) {
  std::vector<const LinearQuantizers*> linears;
  std::ranges::copy_if(all, std::back_inserter(linears), [](const LinearQuantizers* linear) {
    return scales_can_be_searched(linear->weights->format());
  });
  std::map<const LinearQuantizers*, std::shared_ptr<SeenBlocks>> seen;
  show_read(linears, show_inputs, [&](const ReadersOfOne& readers, const Tensor& x, const Tensor& read) {
    for (const LinearQuantizers* one : readers) {
      const std::int64_t block = one->weights->format().block_size(x.cols());
      if (one != readers.front() && block == readers.front()->weights->format().block_size(x.cols())) {
        seen[one] = seen[readers.front()];
        continue;
      }
      auto& blocks = seen[one];
      if (blocks == nullptr) {
        blocks = std::make_shared<SeenBlocks>();
        blocks->planned = planned_doubles((one->inputs != nullptr ? 2 : 1) * x.cols() * block);
      }
      blocks->tokens += x.rows();
      add_products(read, read, block, blocks->moments.second);
      if (one->inputs != nullptr) add_products(read, difference(read, x), block, blocks->moments.coupling);
    }
  });
  std::vector<std::string> by_weights;
  for (const LinearQuantizers* linear : linears) {
    throw_if_stopped();
    const BlockFormat& format = linear->weights->format();
    const Tensor weight = as_f32(linear->weight->value());
    const auto found = seen.find(linear);
    if (found == seen.end() || found->second->tokens < format.block_size(weight.cols())) {
      by_weights.push_back(fmt::format("{} ({})", linear->layer, found == seen.end() ? 0 : found->second->tokens));
      linear->weights->search_block_scales(weight);
      continue;
    }
    linear->weights->set_block_scales(scales_of_least_output_error(
        format, weight.data(), weight.rows(), weight.cols(), linear->weights->scale().value(), found->second->moments));
  }
  if (!by_weights.empty())
    log_warning("local_hessian: fewer tokens than columns of a block came to {} layers, whose scales mse finds: {}",
                by_weights.size(), first_names(by_weights));
}

}  // namespace qad
