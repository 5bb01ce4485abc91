// Calibration by blocks: what a block's quantizers see is what the quantized blocks before it give, bit for bit, and
// no more than one layer's hidden states are held.
#include "qad/calib/by_block.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "autograd/base/interrupt.h"
#include "autograd/core/dry_run.h"
#include "autograd/ops/linear.h"
#include "qad/calib/algorithms.h"
#include "qad/calib/calibrate.h"
#include "tests/support/small_model.h"

namespace qad {
namespace {

using Inputs = std::map<std::string, std::vector<std::vector<float>>>;  // by the last reader, a batch each

ModelConfig deep_config(std::int64_t layers = 3) {
  ModelConfig config = testing::small_config(false);
  config.num_hidden_layers = layers;
  return config;
}

QuantizeConfig w4a4_with_cache() {
  QuantizeConfig config;
  config.rules = {{"*", "nvfp4", "nvfp4"}};  // the head too
  config.kv_cache = "fp8";
  return config;
}

std::vector<TokenBatch> two_batches() {
  std::vector<TokenBatch> batches = {testing::small_batch(), testing::small_batch()};
  for (std::int32_t& id : batches[1].ids) id = (id * 5 + 11) % 64;
  return batches;
}

std::vector<float> floats_in(const Tensor& x) { return {x.span().begin(), x.span().end()}; }

Inputs shown_inputs(const ShowInputs& show_inputs) {
  Inputs inputs;
  show_inputs(
      [&](std::span<const Linear> readers, const Tensor& x) { inputs[readers.back().name].push_back(floats_in(x)); });
  return inputs;
}

class Recorder final : public OperandTransform {
 public:
  Recorder(std::vector<std::vector<float>>& seen, TransformSlot behind) : seen_(seen), behind_(std::move(behind)) {}
  TransformResult apply(const Tensor& x, std::uint64_t version, Readers readers) override {
    seen_.push_back(floats_in(x));
    return behind_->apply(x, version, readers);
  }

 private:
  std::vector<std::vector<float>>& seen_;
  TransformSlot behind_;
};

// From the embedding each time: blocks before `count`, or all of them and the norm.
Variable states_before(LanguageModel& model, const TokenBatch& batch, std::size_t count) {
  Variable x = model.embed(batch);
  for (std::size_t i = 0; i < std::min(count, model.blocks().size()); ++i)
    x = model.blocks()[i](x, LanguageModel::plan_of(batch), nullptr);
  return x;
}

// The same calibration the long way round.
void calibrate_slowly(LanguageModel& model, QuantizerSet& set, const std::vector<TokenBatch>& batches, Inputs& seen) {
  const NoGradScope no_grad;
  set.observe();
  for (std::size_t k = 0; k <= model.blocks().size(); ++k) {
    const std::string prefix = k < model.blocks().size() ? model.blocks()[k].name() + "." : "lm_head";
    std::vector<std::pair<LinearGroup*, TransformSlot>> own;
    for (LinearGroup* group : model.linear_groups())
      if (group->name.starts_with(prefix)) own.emplace_back(group, group->input_slot);
    for (auto& [group, slot] : own)
      group->input_slot = std::make_shared<Recorder>(seen[group->members.back().name], slot);
    for (const TokenBatch& batch : batches) {
      const Variable x = states_before(model, batch, k);
      if (k < model.blocks().size()) static_cast<void>(model.blocks()[k](x, LanguageModel::plan_of(batch), nullptr));
      else static_cast<void>(transformed(model.finish(x), model.head().input_slot));
    }
    for (auto& [group, slot] : own) group->input_slot = slot;
    set.only([&](const Quantizer& one) { return one.name().starts_with(prefix); }).end_observing();
  }
}

TEST(ByBlock, ABlockSeesWhatTheQuantizedBlocksBeforeItGive) {
  const auto batches = two_batches();
  const auto model = initialize_model(deep_config(), 1), other = initialize_model(deep_config(), 1);
  QuantizerSet set = attach_quantizers(*model, w4a4_with_cache());
  QuantizerSet expected = attach_quantizers(*other, w4a4_with_cache());
  Inputs shown, seen;
  std::vector<std::size_t> layers;
  calibrate_by_block(*model, set, batches, {}, [&](const QuantizerSet& part, const ShowInputs& show_inputs) {
    layers.push_back(part.linears().size());
    const Inputs once = shown_inputs(show_inputs);
    EXPECT_EQ(once, shown_inputs(show_inputs));  // as often as asked
    for (const LinearQuantizers& linear : part.linears()) {
      EXPECT_GT(linear.weights->scale().amax(), 0.0f);  // found already
    }
    shown.insert(once.begin(), once.end());
  });
  calibrate_slowly(*other, expected, batches, seen);
  EXPECT_EQ(layers, (std::vector<std::size_t>{7, 7, 7, 1}));
  EXPECT_EQ(shown.size(), 3u * 4 + 1);
  EXPECT_EQ(shown, seen);
  EXPECT_EQ(set.state(), expected.state());
  const NoGradScope no_grad;
  EXPECT_EQ(floats_in(model->hidden_states(batches[0]).value()), floats_in(other->hidden_states(batches[0]).value()));

  // The whole model at once sees the same in its first block alone.
  QuantizerSet at_once = attach_quantizers(*other, w4a4_with_cache());
  calibrate(*other, at_once, batches);
  const auto a = set.state(), b = at_once.state();
  std::map<bool, int> differ;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i] != b[i]) ++differ[a[i].first.starts_with("model.layers.0.")];
  EXPECT_EQ(differ[true], 0);
  EXPECT_GT(differ[false], 4);
}

TEST(ByBlock, AlgorithmsOfWeightsAloneFindTheSame) {
  const auto model = initialize_model(deep_config(), 1), other = initialize_model(deep_config(), 1);
  QuantizeConfig config = w4a4_with_cache();
  config.rules.push_back({"model.layers.1.*", "nvfp4", "nvfp4"});
  config.rules.back().algorithm = CalibrationKind::mse;
  QuantizerSet set = attach_quantizers(*model, config), at_once = attach_quantizers(*other, config);
  calibrate_by_block(*model, set, two_batches(), {}, [](const QuantizerSet& part, const ShowInputs& show_inputs) {
    find_scales(part, show_inputs, {});
  });
  calibrate(*other, at_once, two_batches());
  const auto found = set.state_tensors(), expected = at_once.state_tensors();
  ASSERT_EQ(found.size(), 7u);
  for (const auto& [name, scales] : expected)
    EXPECT_TRUE(std::ranges::equal(found.at(name).span<std::uint8_t>(), scales.span<std::uint8_t>())) << name;
}

TEST(ByBlock, StopsBetweenBatchesAndBeginsAnew) {
  const auto model = initialize_model(deep_config(), 1), other = initialize_model(deep_config(), 1);
  const auto nothing = [](const QuantizerSet&, const ShowInputs&) {};
  QuantizerSet set = attach_quantizers(*model, w4a4_with_cache());
  QuantizerSet undisturbed = attach_quantizers(*other, w4a4_with_cache());
  int polls = 0;
  {
    const StopQuestion question([&] { return ++polls, false; });
    calibrate_by_block(*other, undisturbed, two_batches(), {}, nothing);
  }
  EXPECT_GT(polls, 14);  // for each block, each batch twice
  for (const int moment : {1, polls / 2, polls}) {
    int poll = 0;
    {
      const StopQuestion question([&] { return ++poll >= moment; });
      EXPECT_THROW(calibrate_by_block(*model, set, two_batches(), {}, nothing), Stopped);
    }
    calibrate_by_block(*model, set, two_batches(), {}, nothing);
    EXPECT_EQ(set.state(), undisturbed.state());
  }
}

TEST(ByBlock, HoldsOneLayersHiddenStates) {
  const DryRun dry;
  const auto batches = two_batches();
  const auto model = initialize_model(deep_config(6), 1);
  {
    const NoGradScope no_grad;
    static_cast<void>(model->hidden_states(batches[0]));  // what stays of a first forward, such as rotary tables
  }
  QuantizeConfig config;
  config.rules = {{"*", "none", "nvfp4"}};  // without codes of weights, which stay
  QuantizerSet set = attach_quantizers(*model, config);
  const std::size_t before = dry.held_bytes(), states = 2 * 12 * 32 * sizeof(float);
  std::vector<std::size_t> held;
  calibrate_by_block(*model, set, batches, {}, [&](const QuantizerSet&, const ShowInputs& show_inputs) {
    show_inputs([](std::span<const Linear>, const Tensor&) {});
    held.push_back(dry.held_bytes() - before);
  });
  EXPECT_EQ(held, std::vector<std::size_t>(7, states));
}

}  // namespace
}  // namespace qad
