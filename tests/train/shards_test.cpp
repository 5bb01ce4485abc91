// Shards of a step: their gradients are summed along a tree, and each value of a parameter has one owner among ranks.
// tests/runs/ranks_test.cpp runs several ranks.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>

#include "autograd/kernels/elementwise.h"
#include "autograd/optim/gradient_tree.h"
#include "autograd/optim/slices.h"
#include "qad/train/step.h"
#include "tests/train/tiny_training.h"

namespace qad {
namespace {

using testing::TinyTraining;

TEST(Slices, EveryValueHasOneOwnerAndChunksStayWhole) {
  for (const std::int64_t chunks :
       {std::int64_t{0}, std::int64_t{1}, std::int64_t{3}, std::int64_t{7}, std::int64_t{64}})
    for (const std::int64_t rest : {std::int64_t{0}, std::int64_t{1}, std::int64_t{777}})
      for (const int ranks : {1, 2, 3, 4, 7, 16})
        for (const std::size_t index : {std::size_t{0}, std::size_t{1}, std::size_t{5}}) {
          const std::int64_t size = chunks * kernels::kSumChunk + rest;
          std::vector<Slice> slices;
          for (int rank = 0; rank < ranks; ++rank) slices.push_back(slice_of(size, index, rank, ranks));
          std::ranges::sort(slices, {}, &Slice::begin);
          std::int64_t end = 0;
          for (const Slice& slice : slices) {
            if (slice.size() == 0) continue;
            EXPECT_EQ(slice.begin, end);
            EXPECT_EQ(slice.begin % kernels::kSumChunk, 0);
            end = slice.end;
          }
          EXPECT_EQ(end, size) << ranks << " ranks";
        }
}

TEST(Slices, SmallParametersAreSpreadOverTheRanks) {
  for (std::size_t index = 0; index < 4; ++index)
    for (int rank = 0; rank < 4; ++rank)
      EXPECT_EQ(slice_of(100, index, rank, 4).size(), rank == static_cast<int>(index) ? 100 : 0);
}

TEST(GradientTree, AddsNumbersAsItAddsGradients) {
  EXPECT_EQ(tree_sum({3.0}), 3.0);
  EXPECT_EQ(tree_sum({1e16, 1.0, -1e16, 1.0}), (1e16 + 1.0) + (-1e16 + 1.0));
}

// Eight shards by hand: ((0+1)+(2+3)) + ((4+5)+(6+7)), a missing gradient being no term.
TEST(GradientTree, IsABinaryTree) {
  const ParameterPointer all = make_parameter("all", Tensor::from(std::vector{0.0f}, {1}), true);
  const ParameterPointer some = make_parameter("some", Tensor::from(std::vector{0.0f}, {1}), true);
  const ParameterPointer none = make_parameter("none", Tensor::from(std::vector{0.0f}, {1}), true);
  const ParameterList parameters = {all, some, none};
  const std::vector<float> g = {1.0f, 3e-8f, 5e-8f, 7e-8f, -1.0f, 9e-8f, 2e-8f, 4e-8f};
  GradientTree tree(parameters, 8);
  for (std::size_t shard = 0; shard < 8; ++shard) {
    all->variable.sink()->give(Tensor::from(std::vector{g[shard]}, {1}));
    if (shard == 2 || shard == 5) some->variable.sink()->give(Tensor::from(std::vector{g[shard]}, {1}));
    tree.take_shard();
    EXPECT_FALSE(all->variable.sink()->gradient().defined());
  }
  const std::vector<Tensor> sums = tree.finish();
  EXPECT_EQ(sums[0].item(), ((g[0] + g[1]) + (g[2] + g[3])) + ((g[4] + g[5]) + (g[6] + g[7])));
  EXPECT_EQ(sums[1].item(), g[2] + g[5]);
  EXPECT_FALSE(sums[2].defined());
}

// A gradient that two parameters were given is not written to.
TEST(GradientTree, LeavesWhatOthersReadAsItIs) {
  const ParameterPointer a = make_parameter("a", Tensor::from(std::vector{0.0f}, {1}), true);
  const ParameterPointer b = make_parameter("b", Tensor::from(std::vector{0.0f}, {1}), true);
  const ParameterList parameters = {a, b};
  GradientTree tree(parameters, 2);
  for (int shard = 0; shard < 2; ++shard) {
    const Tensor shared = Tensor::from(std::vector{1.0f}, {1});
    a->variable.sink()->share(shared);
    b->variable.sink()->share(shared);
    tree.take_shard();
  }
  const std::vector<Tensor> sums = tree.finish();
  EXPECT_EQ(sums[0].item(), 2.0f);
  EXPECT_EQ(sums[1].item(), 2.0f);
}

// The first of two ranks, whose other one has no gradients; notes what is begun, and in which order.
class FirstOfTwo final : public Communicator {
 public:
  explicit FirstOfTwo(std::vector<std::string>& begun) : begun_(begun) {}
  [[nodiscard]] int rank() const override { return 0; }
  [[nodiscard]] int size() const override { return 2; }
  std::unique_ptr<Exchange> begin(std::vector<OutMessage> out, std::vector<InMessage> in,
                                  const std::string& what) override {
    struct Done final : Exchange {
      void wait() override {}
    };
    std::size_t bytes = 0;
    for (const OutMessage& message : out) bytes += message.bytes;
    for (const InMessage& message : in) std::memset(message.data, 0, message.bytes);
    begun_.push_back(fmt::format("{}: {}", what, bytes));
    return std::make_unique<Done>();
  }
  void meet() override {}

 private:
  std::vector<std::string>& begun_;
};

class Alone final : public Communicator {
 public:
  [[nodiscard]] int rank() const override { return 0; }
  [[nodiscard]] int size() const override { return 1; }
  std::unique_ptr<Exchange> begin(std::vector<OutMessage>, std::vector<InMessage>, const std::string&) override {
    return nullptr;
  }
  void meet() override {}
};

// Three groups of one parameter each, of two chunks; in `passed` backward calls take_groups.
std::vector<std::string> begun_in_a_step(const std::vector<std::size_t>& passed, bool fails) {
  std::vector<std::string> begun;
  detail::use_communicator(std::make_unique<FirstOfTwo>(begun));
  ParameterList parameters;
  for (const char* name : {"embedding", "block 0", "block 1"})
    parameters.push_back(make_parameter(name, Tensor::zeros({2 * kernels::kSumChunk}), true));
  GradientTree tree(parameters, 4, {0, 1, 2});
  for (int shard = 0; shard < 2; ++shard) {
    for (std::size_t group = 3; group-- > 0;) {
      parameters[group]->variable.sink()->give(
          Tensor::full({2 * kernels::kSumChunk}, 1.0f + static_cast<float>(group)));
      if (shard == 1 && std::ranges::count(passed, group) > 0) tree.take_groups(group);
    }
    if (shard == 1 && fails) tree.fail();
    else tree.take_shard();
  }
  tree.send_rest();
  const std::vector<Tensor> sums = tree.finish();
  for (std::size_t i = 0; i < 3 && !fails; ++i) {
    EXPECT_EQ(sums[i].size(), kernels::kSumChunk);
    EXPECT_EQ(sums[i].data()[0], 2.0f * (1.0f + static_cast<float>(i)));
  }
  detail::use_communicator(std::make_unique<Alone>());
  return begun;
}

// Messages meet in the order in which both sides name them, however far each has come when its step ends.
TEST(GradientTree, BeginsItsMessagesInOneOrder) {
  const std::string told = "which gradients there are: 1", sent = fmt::format("gradients: {}", 4 * kernels::kSumChunk);
  const std::vector<std::string> order = {told, told, sent, told, sent, sent};
  EXPECT_EQ(begun_in_a_step({}, false), order);
  EXPECT_EQ(begun_in_a_step({2}, false), order);
  EXPECT_EQ(begun_in_a_step({2, 1}, false), order);
  EXPECT_EQ(begun_in_a_step({1}, false), order);
  const std::string none = "gradients: 0";
  EXPECT_EQ(begun_in_a_step({}, true), (std::vector{told, told, none, told, none, none}));
  EXPECT_EQ(begun_in_a_step({2, 1}, true), (std::vector{told, told, sent, told, sent, none}));
}

// Shards of a sequence each add up to nearly the same step as the whole batch at once, and exactly to the same tokens.
TEST(Shards, AreTheSameStepButForRounding) {
  TinyTraining whole, sharded;
  whole.config.train.micro_batch_size = 0;
  sharded.config.train.micro_batch_size = 0;
  sharded.config.train.shards = 4;
  whole.run();
  sharded.run();
  ASSERT_EQ(whole.steps.size(), sharded.steps.size());
  EXPECT_NE(whole.steps.back().grad_norm, sharded.steps.back().grad_norm);
  for (std::size_t i = 0; i < whole.steps.size(); ++i) {
    EXPECT_EQ(whole.steps[i].tokens, sharded.steps[i].tokens);
    EXPECT_NEAR(whole.steps[i].loss, sharded.steps[i].loss, 1e-3 * whole.steps[i].loss);
  }
}

TEST(Shards, OneIsWhatWasBefore) {
  TinyTraining one, usual;
  one.config.train.shards = 1;
  one.run();
  usual.run();
  for (std::size_t i = 0; i < usual.steps.size(); ++i) EXPECT_EQ(one.steps[i].grad_norm, usual.steps[i].grad_norm);
}

}  // namespace
}  // namespace qad
