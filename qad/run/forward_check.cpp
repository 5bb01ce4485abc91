#include "qad/run/forward_check.h"

#include <algorithm>

#include "autograd/base/interrupt.h"
#include "autograd/ops/require_finite.h"
#include "autograd/tape/batch_invariant.h"
#include "qad/calib/by_block.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

// More take longer to multiply than a weight takes to be read.
constexpr std::int32_t kTokens = 4;

// From all over the vocabulary.
TokenBatch spread_tokens(std::int64_t vocabulary) {
  TokenBatch batch;
  for (std::int32_t i = 0; i < kTokens; ++i) {
    batch.ids.push_back(static_cast<std::int32_t>(i * vocabulary / kTokens));
    batch.positions.push_back(i);
    batch.labels.push_back(kNoLabel);
    batch.valid.push_back(1);
  }
  batch.segments = {{0, kTokens}};
  batch.document = {0};
  return batch;
}

class Loaded {
 public:
  Loaded(StreamedModel& source, std::vector<Parameter*> parameters)
      : source_(source), parameters_(std::move(parameters)) {
    for (Parameter* one : parameters_)
      if (!source_.is_loaded(*one)) source_.load(*one, StreamedModel::As::loaded);
  }
  ~Loaded() {
    for (Parameter* one : parameters_) source_.unload(*one);
  }
  Loaded(const Loaded&) = delete;
  Loaded& operator=(const Loaded&) = delete;

 private:
  StreamedModel& source_;
  std::vector<Parameter*> parameters_;
};

}  // namespace

ForwardCheck::ForwardCheck(const fs::path& folder, WeightType type)
    : source_(folder, type), tokens_(spread_tokens(source_.model().config().vocab_size)) {
  for (const ParameterPointer& one : source_.model().parameters()) parameters_[one->name] = one.get();
}

void ForwardCheck::lend(const Parameter& parameter) {
  source_.lend(*parameters_.at(parameter.name), parameter.value());
}

void ForwardCheck::run_through(std::size_t part) {
  const NoGradScope no_grad;
  const BatchInvariantScope as_they_are;  // weights need not be expanded, as decoding has it
  LanguageModel& model = source_.model();
  const std::span<const Block> blocks = model.blocks();
  for (; next_ <= part && next_ <= blocks.size() + 1; ++next_) {
    throw_if_stopped();
    if (next_ > blocks.size()) {
      run_behind(x_TC_);
      continue;
    }
    const Loaded loaded(source_, parameters_of_part(model, next_));
    if (next_ == 0) {
      x_TC_ = model.embed(tokens_).value();
      continue;
    }
    const Block& block = blocks[next_ - 1];
    x_TC_ = block(Variable(x_TC_), LanguageModel::plan_of(tokens_), nullptr).value();
    require_finite(x_TC_, model.label + ": " + block.name());
  }
}

void ForwardCheck::run_behind(const Tensor& x_TC) {
  const NoGradScope no_grad;
  const BatchInvariantScope as_they_are;
  LanguageModel& model = source_.model();
  std::vector<Parameter*> parameters = parameters_of_part(model, model.blocks().size() + 1);
  Parameter* const head = model.head().members.front().weight.get();
  if (std::ranges::find(parameters, head) == parameters.end()) parameters.push_back(head);
  const Loaded loaded(source_, std::move(parameters));
  const std::int64_t rows = std::min<std::int64_t>(x_TC.shape().rows(), kTokens);
  static_cast<void>(logits_of(model, model.finish(Variable(x_TC.slice(0, rows))).value()));
}

std::uint64_t ForwardCheck::memory() {
  LanguageModel& model = source_.model();
  std::uint64_t most = 0;
  for (std::size_t part = 0; part < model.blocks().size() + 2; ++part) {
    std::uint64_t bytes = 0;
    for (const Parameter* one : parameters_of_part(model, part)) {
      const std::uint64_t pages = source_.stored_bytes(*one), values = static_cast<std::uint64_t>(one->shape().size());
      bytes += pages + (pages == 2 * values ? 0 : 2 * values);
    }
    most = std::max(most, bytes);
  }
  return most;
}

}  // namespace qad
