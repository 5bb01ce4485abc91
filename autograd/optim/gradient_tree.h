// The gradient of a step as a sum over its shards, along a binary tree whose shape depends on nothing but their number:
// ((0 + 1) + (2 + 3)) + ... So it has the same bits however many ranks compute the shards, and whichever.
//
// A rank adds up what it can of its own shards as they come, like a binary counter, so it holds at most log2(shards) +
// 1 gradients at a time; then each slice's owner (slices.h) gets the sums that others have, and finishes the tree.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "autograd/nn/parameter.h"
#include "autograd/ranks/communicator.h"

namespace qad {

/// Sum of one number a shard, along the same tree. Their count is a power of two.
[[nodiscard]] double tree_sum(std::vector<double> shards);

class GradientTree {
 public:
  /// `shards`: a power of two. This rank computes share_of(shards, rank, ranks) of them.
  GradientTree(const ParameterList& parameters, std::int64_t shards);

  [[nodiscard]] const Share& own() const { return own_; }
  /// The parameters' sinks hold the gradient of the next shard of own(); they are empty afterwards.
  void take_shard();
  /// Of each parameter what this rank owns of the sum: all of it where there is one rank. Undefined where no shard had
  /// a gradient. Called by all ranks together, after their last shard.
  [[nodiscard]] std::vector<Tensor> finish();

 private:
  struct Sum {  // over the shards [first, first + length), a whole subtree
    std::int64_t first, length;
    std::vector<Tensor> gradients;
  };
  static void add(std::vector<Sum>& sums, Sum next);
  [[nodiscard]] std::vector<Tensor> finish_with_others();

  const ParameterList& parameters_;
  std::int64_t shards_;
  Share own_;
  std::int64_t next_;
  std::vector<Sum> sums_;
};

}  // namespace qad
