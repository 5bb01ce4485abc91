#include "autograd/optim/gradient_tree.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "autograd/base/error.h"
#include "autograd/kernels/table.h"
#include "autograd/optim/slices.h"

namespace qad {
namespace {

// What comes in at a time, so that memory for what others send stays small.
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

GradientTree::GradientTree(const ParameterList& parameters, std::int64_t shards, const std::vector<std::size_t>& groups)
    : parameters_(parameters),
      shards_(shards),
      own_(share_of(shards, ranks().rank(), ranks().size())),
      next_(own_.begin),
      sums_(parameters.size()),
      groups_(groups.empty() ? 1 : *std::ranges::max_element(groups) + 1),
      result_(parameters.size()) {
  QAD_ASSERT(std::has_single_bit(static_cast<std::uint64_t>(shards)));
  QAD_ASSERT(groups.empty() || groups.size() == parameters.size());
  for (std::size_t i = 0; i < parameters.size(); ++i)
    groups_[groups.empty() ? 0 : groups_.size() - 1 - groups[i]].parameters.push_back(i);
}

void GradientTree::add(Sums& sums, Sum next) {
  sums.push_back(std::move(next));
  while (sums.size() > 1) {
    Sum& left = sums[sums.size() - 2];
    Sum& right = sums.back();
    if (left.length != right.length || left.first % (2 * left.length) != 0) break;
    left.gradient = sum_of(std::move(left.gradient), std::move(right.gradient));
    left.length *= 2;
    sums.pop_back();
  }
}

void GradientTree::take(std::size_t parameter) {
  add(sums_[parameter], {next_, 1, parameters_[parameter]->variable.sink()->take()});
}

void GradientTree::take_shard() {
  QAD_ASSERT(next_ < own_.end);
  for (std::size_t place = told_; place < groups_.size(); ++place)
    for (const std::size_t parameter : groups_[place].parameters) take(parameter);
  for (std::size_t place = 0; place < told_; ++place)
    for (const std::size_t parameter : groups_[place].parameters)
      QAD_ASSERT(!parameters_[parameter]->variable.sink()->gradient().defined());  // it was whole
  ++next_;
}

void GradientTree::take_groups(std::size_t group) {
  QAD_ASSERT(next_ + 1 == own_.end);
  if (ranks().is_alone()) return;
  while (told_ < groups_.size() - group) {
    for (const std::size_t parameter : groups_[told_].parameters) take(parameter);
    tell_next();
  }
}

void GradientTree::fail() {
  for (std::size_t place = told_; place < groups_.size(); ++place)
    for (const std::size_t parameter : groups_[place].parameters) sums_[parameter].clear();
  next_ = own_.end;
}

void GradientTree::send_rest() {
  QAD_ASSERT(next_ == own_.end);
  if (ranks().is_alone()) return;
  while (told_ < groups_.size()) tell_next();
  send(groups_[sent_]);
}

std::vector<Tensor> GradientTree::finish() {
  if (!ranks().is_alone()) {
    while (complete_ < groups_.size()) complete(groups_[complete_]);
    return std::move(result_);
  }
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (sums_[i].empty()) continue;  // failed
    QAD_ASSERT(sums_[i].size() == 1 && sums_[i].front().length == shards_);
    result_[i] = std::move(sums_[i].front().gradient);
  }
  return std::move(result_);
}

// All ranks in this order: a group travels when the next one is told, so that nobody waits to be told.
void GradientTree::tell_next() {
  tell(groups_[told_]);
  if (sent_ < told_) send(groups_[sent_]);
  ++told_;
}

// Which of its parameters each subtree of each rank has a gradient for.
void GradientTree::tell(Group& group) {
  Communicator& all = ranks();
  const std::size_t own = subtrees_of(own_).size();
  for (const std::size_t parameter : group.parameters)
    for (std::size_t s = 0; s < own; ++s)
      group.has.push_back(s < sums_[parameter].size() && sums_[parameter][s].gradient.defined() ? 1 : 0);
  std::vector<OutMessage> out;
  std::vector<InMessage> in;
  group.others_have.resize(static_cast<std::size_t>(all.size()));
  for (int rank = 0; rank < all.size(); ++rank) {
    std::string& theirs = group.others_have[static_cast<std::size_t>(rank)];
    theirs.resize(group.parameters.size() * subtrees_of(share_of(shards_, rank, all.size())).size());
    if (rank == all.rank()) continue;
    if (!group.has.empty()) out.push_back({rank, group.has.data(), group.has.size()});
    if (!theirs.empty()) in.push_back({rank, theirs.data(), theirs.size()});
  }
  group.told = all.begin(std::move(out), std::move(in), "which gradients there are");
}

void GradientTree::send(Group& group) {
  Communicator& all = ranks();
  group.told->wait();
  group.others_have[static_cast<std::size_t>(all.rank())] = group.has;
  std::vector<OutMessage> out;
  std::vector<InMessage> in;
  for (std::size_t i = 0; i < group.parameters.size(); ++i) {
    const std::size_t parameter = group.parameters[i];
    const std::int64_t values = parameters_[parameter]->value().size();
    const Slice mine = slice_of(values, parameter, all.rank(), all.size());
    Sums& slices = group.slices.emplace_back();
    for (int rank = 0; rank < all.size(); ++rank) {
      const std::vector<Share> subtrees = subtrees_of(share_of(shards_, rank, all.size()));
      const std::string& has = group.others_have[static_cast<std::size_t>(rank)];
      for (std::size_t s = 0; s < subtrees.size(); ++s) {
        Tensor slice;
        if (has[i * subtrees.size() + s] != 0) {
          slice = Tensor({mine.size()});
          if (rank == all.rank()) {
            const float* const sum = sums_[parameter][s].gradient.data();
            std::memcpy(slice.data(), sum + mine.begin, slice.bytes());
            for (int other = 0; other < all.size(); ++other) {
              const Slice theirs = slice_of(values, parameter, other, all.size());
              if (other == rank || theirs.size() == 0) continue;
              out.push_back({other, sum + theirs.begin, static_cast<std::size_t>(theirs.size()) * sizeof(float)});
            }
          } else if (mine.size() > 0) {
            in.push_back({rank, slice.data(), slice.bytes()});
            group.bytes += slice.bytes();
          }
        }
        slices.push_back({subtrees[s].begin, subtrees[s].size(), std::move(slice)});
      }
    }
  }
  group.sent = all.begin(std::move(out), std::move(in), "gradients");
  ++sent_;
  std::size_t coming = 0;
  for (std::size_t place = complete_; place < sent_; ++place) coming += groups_[place].bytes;
  for (; complete_ + 1 < sent_ && coming > kBytesOnTheWay; coming -= groups_[complete_ - 1].bytes)
    complete(groups_[complete_]);
}

void GradientTree::complete(Group& group) {
  group.sent->wait();
  for (std::size_t i = 0; i < group.parameters.size(); ++i) {
    const std::size_t parameter = group.parameters[i];
    Sums tree;
    for (Sum& slice : group.slices[i]) add(tree, std::move(slice));
    QAD_ASSERT(tree.size() == 1);
    result_[parameter] = std::move(tree.front().gradient);
    sums_[parameter].clear();
  }
  ++complete_;
}

}  // namespace qad
