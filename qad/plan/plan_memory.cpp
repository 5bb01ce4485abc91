#include "qad/plan/plan_memory.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <optional>
#include <set>

#include "autograd/core/dry_run.h"
#include "autograd/kernels/table.h"
#include "autograd/ops/fused_linear_loss.h"
#include "autograd/optim/slices.h"
#include "autograd/optim/weight_average.h"
#include "models/families/registry.h"
#include "qad/calib/calibrate.h"
#include "qad/layouts/registry.h"
#include "qad/quant/bf16_rounding.h"
#include "qad/train/evaluator.h"
#include "qad/train/grid_moves.h"
#include "qad/train/grpo.h"
#include "qad/train/routers.h"
#include "qad/train/step.h"

namespace qad {
namespace {

constexpr std::int64_t kMostTokens = 1 << 17;  // of a forward that a plan runs through

std::int64_t bytes_of(const Tensor& tensor) { return static_cast<std::int64_t>(tensor.bytes()); }

std::int64_t bytes_of(const ParameterList& parameters) {
  std::int64_t bytes = 0;
  for (const ParameterPointer& parameter : parameters) bytes += static_cast<std::int64_t>(parameter->bytes());
  return bytes;
}

// So many tokens in sequences of at most `length`.
TokenBatch batch_of(std::int64_t tokens, std::int64_t length) {
  TokenBatch batch;
  const auto size = static_cast<std::size_t>(tokens);
  batch.ids.assign(size, 0);
  batch.labels.assign(size, 0);
  batch.valid.assign(size, 1);
  for (std::int64_t begin = 0; begin < tokens; begin += length) {
    const std::int64_t end = std::min(tokens, begin + length);
    for (std::int64_t position = 0; position < end - begin; ++position)
      batch.positions.push_back(static_cast<std::int32_t>(position));
    batch.segments.push_back({static_cast<std::int32_t>(begin), static_cast<std::int32_t>(end)});
    batch.document.push_back(begin / length);
  }
  return batch;
}

std::unique_ptr<LanguageModel> model_of(const ModelConfig& config, DType type, bool trained) {
  return make_model(
      config, [&](const ParameterSpec& spec) { return make_parameter(spec.name, Tensor(spec.shape, type), trained); });
}

DType type_of(std::int64_t value_bytes) { return value_bytes == 2 ? DType::bf16 : DType::f32; }

// Prompts of given lengths, over and over. Every other answer is right, so that each group has something to say.
class FullAnswers final : public RewardedPrompts {
 public:
  explicit FullAnswers(const std::vector<std::int64_t>& prompts) : prompts_(prompts) {}
  [[nodiscard]] std::vector<std::int32_t> prompt(std::int64_t index) const override {
    return std::vector<std::int32_t>(
        static_cast<std::size_t>(prompts_[static_cast<std::size_t>(index) % prompts_.size()]), 0);
  }
  [[nodiscard]] Reward reward(std::int64_t /*index*/, std::span<const std::int32_t> /*answer*/,
                              bool /*cut*/) const override {
    right_ = !right_;
    return {right_ ? 1.0 : 0.0, right_};
  }

 private:
  const std::vector<std::int64_t>& prompts_;
  mutable bool right_ = false;
};

// What a run does with tensors, in its order.
class Rehearsal {
 public:
  Rehearsal(const PlanSubject& subject, std::int64_t most_tokens, std::int64_t ranks)
      : subject_(subject), most_tokens_(most_tokens), ranks_(ranks) {}

  MemoryPlan run() {
    const Recipe& recipe = subject_.recipe;
    const ModelConfig& config = subject_.student->config();
    if (subject_.teacher) {
      teacher_ = model_of(*subject_.teacher, type_of(subject_.teacher_value_bytes), false);
      plan_.teacher = bytes_of(teacher_->parameters());
      set_input_precision(*teacher_, recipe.teacher->compute);
    }
    student_ = model_of(config, DType::f32, true);
    student_->activation_checkpointing = recipe.train.activation_checkpointing;
    if (!recipe.train.router) freeze_routers(*student_);
    if (subject_.answers_problems()) {
      reference_ = model_of(config, DType::bf16, false);
      plan_.reference = bytes_of(reference_->parameters());
    }
    if (subject_.start_value_bytes > 0) hold_start();
    QuantizerSet quantizers = attach_quantizers(*student_, recipe.quantize, recipe.calibrate.algorithm);
    set_input_precision(*student_, recipe.train.forward);
    plan_.student = bytes_of(trained_parameters(*student_, quantizers));
    MovedParameters moved;
    if (subject_.trains())
      moved = moved_parameters(*student_, quantizers, recipe.train.parameters, recipe.train.adamw,
                               recipe.train.scale_steps);
    trained_ = moved.parameters;
    std::optional<AdamW> optimizer(std::in_place, recipe.train.adamw, moved.parameters, moved.options);
    const WeightAverage average(trained_, recipe.train.weight_ema);
    GridMoves grid(recipe.train, quantizers, trained_);
    grid.begin_step(recipe.train.steps);  // when all that it does is done
    optimizer->set_around_move(
        [&](Parameter& parameter, double rate, const auto& move) { grid.around(parameter, rate, move); });
    for (const AdamW::State& state : optimizer->states())
      plan_.moments += bytes_of(state.first) + bytes_of(state.second);
    if (!average.averages().empty()) plan_.moments += bytes_of(trained_);
    for (const auto& [name, sums] : grid.sums()) plan_.moments += static_cast<std::int64_t>(sums.bytes());
    if (!quantizers.empty())
      calibrate(*student_, quantizers, batches(subject_.text.calibration_batches), {}, recipe.calibrate);
    hold_codes();
    static_cast<void>(evaluate(*student_, teacher_.get(), batches(subject_.text.evaluation_batches)));
    if (subject_.answers_problems() && subject_.trains()) reinforce(*optimizer);
    else if (subject_.trains()) train(*optimizer);
    const std::int64_t before_export = touched() - take_off_elsewhere();
    plan_.working = before_export - (plan_.teacher + plan_.reference + plan_.student + plan_.moments +
                                     plan_.weight_codes + plan_.gradients + plan_.activations + plan_.logits);
    if (elsewhere_ == 0) optimizer.reset();  // exports have room where its moments were
    plan_.exports = std::max<std::int64_t>(0, export_all() - elsewhere_ - before_export);
    return plan_;
  }

 private:
  [[nodiscard]] std::int64_t touched() const { return static_cast<std::int64_t>(dry_.touched_bytes()); }
  [[nodiscard]] std::int64_t held() const { return static_cast<std::int64_t>(dry_.held_bytes()); }

  // One for each size, or, if there are many, for the largest of those that are much alike.
  [[nodiscard]] std::vector<TokenBatch> batches(const std::vector<std::int64_t>& sizes) const {
    constexpr std::size_t kMany = 64;
    constexpr double kAnOctave = 32;
    std::set<std::int64_t> all;
    for (const std::int64_t size : sizes)
      if (size > 0) all.insert(std::min(size, most_tokens_));
    std::map<std::int64_t, std::int64_t> largest;
    for (const std::int64_t size : all)
      largest[all.size() <= kMany ? size : std::lround(kAnOctave * std::log2(static_cast<double>(size)))] = size;
    std::vector<TokenBatch> result;
    for (const auto& [alike, tokens] : largest)
      result.push_back(batch_of(tokens, subject_.recipe.data.sequence_length));
    return result;
  }

  void hold_start() const {
    static_cast<void>(model_of(subject_.student->config(), type_of(subject_.start_value_bytes), false));
    // The models of a merge come one after the other: sums in double stay beside them.
    if (subject_.start_value_bytes > static_cast<std::int64_t>(sizeof(float))) {
      const auto first = model_of(subject_.student->config(), DType::f32, false);
      const auto sums = model_of(subject_.student->config(), DType::f32, false);
      const auto more_sums = model_of(subject_.student->config(), DType::f32, false);
    }
  }

  // All weights as ops read them, experts that no token went to as well.
  void hold_codes() {
    const std::int64_t before = held();
    for (const ParameterPointer& parameter : student_->parameters()) static_cast<void>(parameter->operand());
    plan_.weight_codes = held() - before;
  }

  // What backward keeps of a forward, and what its loss takes.
  void watch_forward(const TokenBatch& batch) {
    {
      const std::int64_t before = held();
      const Variable hidden = student_->hidden_states(batch);
      plan_.activations = std::max(plan_.activations, held() - before);
    }
    const std::int64_t vocabulary = student_->config().vocab_size;
    const int matrices = subject_.learns_from_teacher() ? 2 : 1;
    const std::size_t chunk = static_cast<std::size_t>(subject_.recipe.loss.chunk_mebibytes) << 20;
    plan_.logits =
        std::max<std::int64_t>(plan_.logits, matrices * static_cast<std::int64_t>(sizeof(float)) * vocabulary *
                                                 logit_chunk_rows(chunk, vocabulary, batch.size(), matrices));
  }

  // What other ranks hold of the moments, and what is on its way to this one instead (gradient_tree.h); what is on the
  // disk, but for a parameter's, which is in memory while it moves.
  std::int64_t take_off_elsewhere() {
    const AdamWConfig& adamw = subject_.recipe.train.adamw;
    const auto both = 2 * static_cast<std::int64_t>(qad::bytes_of(type_of_moments(adamw)));
    std::int64_t all = 0, own = 0, largest = 0;
    for (std::size_t i = 0; i < trained_.size(); ++i) {
      const std::int64_t size = trained_[i]->value().size();
      const std::int64_t slice = slice_of(size, i, 0, static_cast<int>(ranks_)).size();
      all += both * size;
      own += both * slice;
      largest = std::max(largest, both * slice);
    }
    elsewhere_ = all - (adamw.moments_in == MomentsIn::file ? largest : own);
    plan_.moments -= elsewhere_;
    return elsewhere_;
  }

  // Sums over parts of this rank's shards, which stand beside the gradient of the next one.
  [[nodiscard]] std::vector<Tensor> partial_sums() const {
    const std::int64_t shards = subject_.recipe.train.shards;
    const std::int64_t own = shards / std::min(ranks_, shards);
    std::vector<Tensor> sums;
    for (std::int64_t held = own; held > 1; held /= 2)
      for (const ParameterPointer& parameter : trained_) sums.emplace_back(parameter->value().shape());
    return sums;
  }

  void train(AdamW& optimizer) {
    const std::vector<Tensor> sums = partial_sums();
    const Recipe& recipe = subject_.recipe;
    const bool learns = subject_.learns_from_teacher();
    for (const TokenBatch& batch : batches(subject_.text.micro_batches)) {
      watch_forward(batch);
      // Every micro-batch but the first runs beside gradients.
      for (const ParameterPointer& parameter : trained_)
        static_cast<void>(parameter->variable.sink()->buffer(parameter->value().shape()));
      plan_.gradients = bytes_of(trained_);
      for (const Tensor& sum : sums) plan_.gradients += static_cast<std::int64_t>(sum.bytes());
      LossConfig loss = recipe.loss;
      if (recipe.row().judge == Judge::next_token) loss.kind = LossKind::cross_entropy;
      const int steps = student_->config().experts ? 3 : 1;  // whose experts see other numbers of tokens each time
      for (int step = 1; step <= steps; ++step)
        static_cast<void>(
            train_step(recipe.train, loss, step, *student_, learns ? teacher_.get() : nullptr, optimizer, {batch}));
    }
  }

  void reinforce(AdamW& optimizer) {
    const Recipe& recipe = subject_.recipe;
    for (const TokenBatch& batch : batches(subject_.text.micro_batches)) watch_forward(batch);
    plan_.gradients = bytes_of(trained_);
    const FullAnswers prompts(subject_.text.prompts);
    GrpoStage stage({*recipe.grpo, recipe.train, recipe.data.sequence_length, 1}, *student_, *reference_, prompts);
    const std::int64_t steps = std::min<std::int64_t>(2, recipe.train.steps);  // the second beside what the first left
    for (std::int64_t step = 1; step <= steps; ++step) static_cast<void>(stage.run(step, optimizer));
  }

  // The best checkpoint in a second student, then one layout after the other (qad/run/export_student.cpp).
  std::int64_t export_all() {
    std::int64_t files = 0;
    if (!subject_.recipe.export_formats.empty()) {
      const auto best = model_of(subject_.student->config(), DType::f32, false);
      static_cast<void>(model_of(subject_.student->config(), DType::f32, false));  // the checkpoint's content
      const std::vector<Tensor> codes = all_codes();
      for (const std::string& format : subject_.recipe.export_formats) {
        {
          const std::vector<Tensor> written = export_tensors(exporter(format).stores_codes);
          const std::vector<Tensor> read = export_tensors(exporter(format).stores_codes);
          std::int64_t bytes = 0;
          for (const Tensor& tensor : read) bytes += static_cast<std::int64_t>(tensor.bytes());
          files = std::max(files, bytes);  // mapped while they are read
        }
        static_cast<void>(
            model_of(subject_.student->config(), DType::f32, false));  // dequantized, to compare and to run
      }
    }
    return touched() + files;
  }

  [[nodiscard]] std::vector<Tensor> all_codes() const {
    std::vector<Tensor> codes;
    for (const LinearQuantizers& linear : subject_.quantizers.linears()) {
      if (!linear.weights) continue;
      const Shape& shape = linear.weight->shape();
      const QuantizedTensor tensor = QuantizedTensor::allocate(linear.weights->format(), shape.rows(), shape.cols(),
                                                               linear.weights->scale().value());
      codes.push_back(tensor.codes);
      if (tensor.scales.defined()) codes.push_back(tensor.scales);
    }
    return codes;
  }

  [[nodiscard]] std::vector<Tensor> export_tensors(bool stores_codes) const {
    std::vector<Tensor> tensors;
    std::set<const Parameter*> packed;
    if (stores_codes) {
      tensors = all_codes();
      for (const LinearQuantizers& linear : subject_.quantizers.linears())
        if (linear.weights) packed.insert(linear.weight.get());
    }
    for (const ParameterPointer& parameter : subject_.student->parameters())
      if (!packed.contains(parameter.get())) tensors.emplace_back(parameter->value().shape(), DType::bf16);
    return tensors;
  }

  const PlanSubject& subject_;
  std::int64_t most_tokens_, ranks_;
  std::int64_t elsewhere_ = 0;
  DryRun dry_;  // before all that is made in it
  std::unique_ptr<LanguageModel> teacher_, student_, reference_;
  ParameterList trained_;
  MemoryPlan plan_;
};

std::int64_t most_tokens(const PlannedText& text) {
  std::int64_t most = 0;
  for (const auto* sizes : {&text.micro_batches, &text.evaluation_batches, &text.calibration_batches})
    for (const std::int64_t size : *sizes) most = std::max(most, size);
  return most;
}

// What is `times` the step from `smaller` to `plan` larger than `plan`.
template <class... Part>
void extend(MemoryPlan& plan, const MemoryPlan& smaller, double times, Part... parts) {
  const auto one = [&](std::int64_t MemoryPlan::*part) {
    const std::int64_t step = std::max<std::int64_t>(0, plan.*part - smaller.*part);
    plan.*part += static_cast<std::int64_t>(times * static_cast<double>(step));
  };
  (one(parts), ...);
}

MemoryPlan rehearsed(const PlanSubject& subject, std::int64_t ranks, const PlanLimits& limits) {
  using Plan = MemoryPlan;
  // Tensors are as large whatever the number of answers is; lists of ids, labels, places and probabilities are not.
  if (const std::int64_t answers = size_of(subject, PlanSize::answers),
      most = most_of(subject, PlanSize::answers, limits);
      answers > most) {
    constexpr double kBytesOfAToken = 40;
    MemoryPlan plan = rehearsed(smaller_subject(subject, PlanSize::answers, most), ranks, limits);
    const double tokens =
        static_cast<double>(subject.text.train_tokens) / static_cast<double>(subject.text.answered_steps);
    plan.working += static_cast<std::int64_t>(kBytesOfAToken * tokens * static_cast<double>(answers - most) /
                                              static_cast<double>(answers));
    return plan;
  }
  for (const PlanSize size : {PlanSize::experts, PlanSize::layers}) {
    const std::int64_t all = size_of(subject, size), most = most_of(subject, size, limits);
    if (all <= most) continue;
    const PlanSubject large = smaller_subject(subject, size, most), small = smaller_subject(subject, size, most / 2);
    const auto of_large = static_cast<double>(size_of(large, size)),
               of_small = static_cast<double>(size_of(small, size));
    MemoryPlan plan = rehearsed(large, ranks, limits);
    extend(plan, rehearsed(small, ranks, limits), (static_cast<double>(all) - of_large) / (of_large - of_small),
           &Plan::teacher, &Plan::reference, &Plan::student, &Plan::gradients, &Plan::moments, &Plan::weight_codes,
           &Plan::activations, &Plan::logits, &Plan::working, &Plan::exports);
    return plan;
  }
  const std::int64_t most = most_tokens(subject.text);
  MemoryPlan plan = Rehearsal(subject, std::min(most, kMostTokens), ranks).run();
  if (most > kMostTokens)
    extend(plan, Rehearsal(subject, kMostTokens / 2, ranks).run(),
           static_cast<double>(most - kMostTokens) / (kMostTokens / 2.0), &Plan::activations, &Plan::working);
  return plan;
}

}  // namespace

MemoryPlan plan_memory(const PlanSubject& subject, std::int64_t process_bytes, std::int64_t ranks,
                       const PlanLimits& limits) {
  MemoryPlan plan = rehearsed(subject, ranks, limits);
  plan.process = process_bytes;
  return plan;
}

std::int64_t resident_bytes_now() {
  ::malloc_trim(0);
  // What BLAS packs operands into stays with it between products: megabytes a thread, of which trimming knows nothing.
  const Tensor x = Tensor::zeros({2048, 512}), w = Tensor::zeros({1536, 512}), y = Tensor::zeros({2048, 1536});
  kernel_table().gemm(kernels::Transpose::no, kernels::Transpose::yes, x.rows(), w.rows(), x.cols(), x.data(), x.cols(),
                      w.data(), w.cols(), false, y.data(), w.rows());
  std::int64_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * ::sysconf(_SC_PAGESIZE) - static_cast<std::int64_t>(x.bytes() + w.bytes() + y.bytes());
}

}  // namespace qad
