#include "autograd/optim/gradient_tree.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "autograd/base/error.h"
#include "autograd/kernels/table.h"
#include "autograd/optim/slices.h"

namespace qad {
namespace {

// What is on its way at a time, so that memory for what others send stays small.
constexpr std::size_t kBytesOnTheWay = std::size_t{256} << 20;

// a + b into memory that nobody else reads; an undefined one is no term.
Tensor sum_of(Tensor a, Tensor b) {
  if (!a.defined() || !b.defined()) return a.defined() ? a : b;
  QAD_ASSERT(a.size() == b.size());
  Tensor out = a.unique() ? a : b.unique() ? b : Tensor(a.shape());
  kernel_table(a.device()).add(a.size(), a.data(), b.data(), out.data());
  return out;
}

// The subtrees that the shards of a share fill, in order: (first, length).
std::vector<Share> subtrees_of(const Share& share) {
  std::vector<Share> result;
  for (std::int64_t first = share.begin; first < share.end;) {
    std::int64_t length = 1;
    while (first % (2 * length) == 0 && first + 2 * length <= share.end) length *= 2;
    result.push_back({first, first + length});
    first += length;
  }
  return result;
}

}  // namespace

double tree_sum(std::vector<double> shards) {
  QAD_ASSERT(std::has_single_bit(shards.size()));
  for (std::size_t length = shards.size(); length > 1; length /= 2)
    for (std::size_t i = 0; i < length / 2; ++i) shards[i] = shards[2 * i] + shards[2 * i + 1];
  return shards.front();
}

GradientTree::GradientTree(const ParameterList& parameters, std::int64_t shards)
    : parameters_(parameters),
      shards_(shards),
      own_(share_of(shards, ranks().rank(), ranks().size())),
      next_(own_.begin) {
  QAD_ASSERT(std::has_single_bit(static_cast<std::uint64_t>(shards)));
}

void GradientTree::add(std::vector<Sum>& sums, Sum next) {
  sums.push_back(std::move(next));
  while (sums.size() > 1) {
    Sum& left = sums[sums.size() - 2];
    Sum& right = sums.back();
    if (left.length != right.length || left.first % (2 * left.length) != 0) break;
    for (std::size_t i = 0; i < left.gradients.size(); ++i)
      left.gradients[i] = sum_of(std::move(left.gradients[i]), std::move(right.gradients[i]));
    left.length *= 2;
    sums.pop_back();
  }
}

void GradientTree::take_shard() {
  QAD_ASSERT(next_ < own_.end);
  Sum sum{next_++, 1, {}};
  for (const ParameterPointer& parameter : parameters_) sum.gradients.push_back(parameter->variable.sink()->take());
  add(sums_, std::move(sum));
}

std::vector<Tensor> GradientTree::finish() {
  QAD_ASSERT(next_ == own_.end);
  if (!ranks().is_alone()) return finish_with_others();
  QAD_ASSERT(sums_.size() == 1 && sums_.front().length == shards_);
  return std::move(sums_.front().gradients);
}

std::vector<Tensor> GradientTree::finish_with_others() {
  Communicator& all = ranks();
  const int size = all.size();
  // Which parameters each subtree of each rank has a gradient for: some experts have none.
  std::string own_has;
  for (const Sum& sum : sums_)
    for (const Tensor& gradient : sum.gradients) own_has.push_back(gradient.defined() ? 1 : 0);
  const std::vector<std::string> has = all_gather(own_has, "which gradients there are");
  std::vector<std::vector<Share>> subtrees;
  std::vector<std::vector<Slice>> slices;
  for (int rank = 0; rank < size; ++rank) {
    subtrees.push_back(subtrees_of(share_of(shards_, rank, size)));
    slices.push_back(slices_of(parameters_, rank, size));
  }
  const auto is_there = [&](int rank, std::size_t subtree, std::size_t parameter) {
    return has[static_cast<std::size_t>(rank)][subtree * parameters_.size() + parameter] != 0;
  };

  std::vector<Tensor> result(parameters_.size());
  for (std::size_t begin = 0, end = 0; begin < parameters_.size(); begin = end) {
    std::vector<OutMessage> out;
    std::vector<InMessage> in;
    std::vector<std::vector<Sum>> parts;  // of each parameter, of each subtree in order: my slice
    std::size_t bytes = 0;
    for (end = begin; end < parameters_.size() && (end == begin || bytes < kBytesOnTheWay); ++end) {
      const Slice mine = slices[static_cast<std::size_t>(all.rank())][end];
      std::vector<Sum>& received = parts.emplace_back();
      for (int rank = 0; rank < size; ++rank) {
        for (std::size_t s = 0; s < subtrees[static_cast<std::size_t>(rank)].size(); ++s) {
          const Share& subtree = subtrees[static_cast<std::size_t>(rank)][s];
          Tensor slice;
          if (is_there(rank, s, end)) {
            slice = Tensor({mine.size()});
            if (rank == all.rank()) {
              const float* values = sums_[s].gradients[end].data();
              std::memcpy(slice.data(), values + mine.begin, slice.bytes());
              for (int other = 0; other < size; ++other) {
                const Slice theirs = slices[static_cast<std::size_t>(other)][end];
                if (other == rank || theirs.size() == 0) continue;
                out.push_back({other, values + theirs.begin, static_cast<std::size_t>(theirs.size()) * sizeof(float)});
              }
            } else if (mine.size() > 0) {
              in.push_back({rank, slice.data(), slice.bytes()});
              bytes += slice.bytes();
            }
          }
          received.push_back({subtree.begin, subtree.size(), {slice}});
        }
      }
      bytes += parameters_[end]->value().bytes();
    }
    all.exchange(std::move(out), std::move(in), "gradients");
    for (std::size_t i = begin; i < end; ++i) {
      std::vector<Sum> tree;
      for (Sum& part : parts[i - begin]) add(tree, std::move(part));
      QAD_ASSERT(tree.size() == 1);
      result[i] = std::move(tree.front().gradients.front());
      for (Sum& sum : sums_) sum.gradients[i] = {};
    }
  }
  return result;
}

}  // namespace qad
