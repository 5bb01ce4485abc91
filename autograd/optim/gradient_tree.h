// The gradient of a step as a sum over its shards, along a binary tree whose shape depends on nothing but their number:
// ((0 + 1) + (2 + 3)) + ... So it has the same bits however many ranks compute the shards, and whichever.
//
// A rank adds up what it can of its own shards as they come, like a binary counter, so it holds at most log2(shards) +
// 1 gradients at a time; then each slice's owner (slices.h) gets the sums that others have, and finishes the tree. Sums
// travel while backward of the rank's last shard goes on: a group of parameters at a time, as soon as they are whole.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "autograd/nn/parameter.h"
#include "autograd/ranks/communicator.h"

namespace qad {

/// Sum of one number a shard, along the same tree. Their count is a power of two.
[[nodiscard]] double tree_sum(std::vector<double> shards);

class GradientTree {
 public:
  /// `shards`: a power of two. This rank computes share_of(shards, rank, ranks) of them. `groups`: of each parameter
  /// its group, the same on all ranks; none: all are one.
  GradientTree(const ParameterList& parameters, std::int64_t shards, const std::vector<std::size_t>& groups = {});

  [[nodiscard]] const Share& own() const { return own_; }
  /// The parameters' sinks hold the gradient of the next shard of own(); they are empty afterwards.
  void take_shard();
  /// In backward of the last of own(): in the sinks of `group` and of all groups above it this shard's gradient is
  /// whole, so that it may go on its way.
  void take_groups(std::size_t group);
  /// Nothing more comes from this rank's shards, and what they gave won't be used. Others are not kept waiting.
  void fail();
  /// After the last shard: all that is left goes on its way. Called by all ranks together.
  void send_rest();
  /// Of each parameter what this rank owns of the sum: all of it where there is one rank. Undefined where no shard had
  /// a gradient. After send_rest.
  [[nodiscard]] std::vector<Tensor> finish();

 private:
  struct Sum {  // over the shards [first, first + length), a whole subtree
    std::int64_t first, length;
    Tensor gradient;
  };
  using Sums = std::vector<Sum>;
  struct Group {
    std::vector<std::size_t> parameters;
    std::string has;  // which of this rank's sums there are: some experts have none
    std::vector<std::string> others_have;
    std::unique_ptr<Communicator::Exchange> told, sent;
    std::vector<Sums> slices;  // of each parameter, of each subtree in order: what this rank owns
    std::size_t bytes = 0;     // of what comes in
  };
  static void add(Sums& sums, Sum next);
  void take(std::size_t parameter);
  void tell_next();
  void tell(Group& group);
  void send(Group& group);
  void complete(Group& group);

  const ParameterList& parameters_;
  std::int64_t shards_;
  Share own_;
  std::int64_t next_;
  std::vector<Sums> sums_;                          // of each parameter
  std::vector<Group> groups_;                       // in the order in which they are whole
  std::size_t told_ = 0, sent_ = 0, complete_ = 0;  // how many groups are
  std::vector<Tensor> result_;
};

}  // namespace qad
