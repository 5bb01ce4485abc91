#include "qad/plan/plan_time.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "autograd/optim/adamw.h"
#include "autograd/tape/gradient_products.h"
#include "qad/calib/calibrate.h"
#include "qad/loss/loss.h"
#include "qad/plan/layer_probe.h"
#include "qad/quant/bf16_rounding.h"

namespace qad {
namespace {

constexpr std::int64_t kProbeTokens = 1024;         // of a longer batch, the first sequences of so many
constexpr std::int64_t kProbeLength = 2048;         // of a longer sequence, the first
constexpr std::int64_t kProbeHidden = 1 << 24;      // numbers of hidden states that a head reads
constexpr std::int64_t kProbeHeadFloats = 1 << 25;  // of a larger head, the first rows: still beyond any cache

// The first segments of a batch, of at most kProbeTokens unless the first one alone is longer.
TokenBatch probe_batch(const TokenBatch& sample, std::int64_t vocabulary) {
  TokenBatch batch;
  for (std::size_t s = 0; s < sample.segments.size(); ++s) {
    if (s > 0 && sample.segments[s].end > kProbeTokens) break;
    batch.segments.push_back(sample.segments[s]);
    batch.document.push_back(sample.document[s]);
  }
  batch.segments.front().end = std::min(batch.segments.front().end, static_cast<std::int32_t>(kProbeLength));
  const auto tokens = static_cast<std::size_t>(batch.segments.back().end);
  batch.positions.assign(sample.positions.begin(), sample.positions.begin() + static_cast<std::ptrdiff_t>(tokens));
  batch.labels.assign(tokens, 0);
  batch.valid.assign(tokens, 1);
  for (std::size_t t = 0; t < tokens; ++t)
    batch.ids.push_back(static_cast<std::int32_t>(sample.ids[t] % static_cast<std::int32_t>(vocabulary)));
  return batch;
}

// The rules that give the probe's layer the formats of the student's.
QuantizeConfig probe_quantization(const PlanSubject& subject, std::int64_t layer) {
  QuantizeConfig config = subject.recipe.quantize;
  config.rules.clear();
  const std::string prefix = "model.layers." + std::to_string(layer) + ".";
  for (const LinearQuantizers& linear : subject.quantizers.linears()) {
    if (!linear.layer.starts_with(prefix) || (!linear.weights && !linear.inputs)) continue;
    const auto name = [](const auto& quantizer) { return quantizer ? std::string(quantizer->format().name) : "none"; };
    config.rules.push_back(
        {"model.layers.0." + linear.layer.substr(prefix.size()), name(linear.weights), name(linear.inputs)});
  }
  return config;
}

// Seconds for the probe's batch.
struct LayerTimes {
  double forward = 0, training = 0;
};

LayerTimes time_student(const PlanSubject& subject, const TokenBatch& batch, const ModelConfig& config,
                        std::int64_t like_layer) {
  const std::unique_ptr<LanguageModel> model = probe_model(config, true);
  QuantizerSet quantizers;
  if (config.num_hidden_layers > 0 && !subject.quantizers.empty()) {
    quantizers = attach_quantizers(*model, probe_quantization(subject, like_layer));
    calibrate(*model, quantizers, {batch});
  }
  set_input_precision(*model, subject.recipe.train.forward);
  const GradientProductsScope precision(subject.recipe.train.backward);
  model->activation_checkpointing = subject.recipe.train.activation_checkpointing;
  const ParameterList parameters = trained_parameters(*model, quantizers);
  const Tensor gradient = random_tensor({batch.size(), model->config().hidden_size}, 1e-3);
  LayerTimes times;
  times.forward = median_seconds([&] {
    const NoGradScope no_grad;
    static_cast<void>(model->hidden_states(batch));
  });
  if (!subject.trains()) return times;
  times.training = median_seconds([&] {
    for (const ParameterPointer& parameter : parameters) parameter->changed();  // as after an optimizer step
    backward(model->hidden_states(batch), gradient);
    clear_gradients(parameters);
  });
  return times;
}

double time_teacher(const TokenBatch& batch, const ModelConfig& config, Precision precision) {
  const std::unique_ptr<LanguageModel> model = probe_model(config, false);
  set_input_precision(*model, precision);
  return median_seconds([&] {
    const NoGradScope no_grad;
    static_cast<void>(model->hidden_states(batch));
  });
}

// All layers and what is around them, for the probe's batch.
LayerTimes student_times(const PlanSubject& subject, const TokenBatch& batch) {
  const ModelConfig& config = subject.student->config();
  LayerTimes sum = time_student(subject, batch, empty_probe(config), 0);
  const std::vector<LayerKind> kinds = layer_kinds(config);
  for (const LayerKind& kind : kinds) {
    const LayerTimes empty = time_student(subject, batch, emptied(kind.probe), 0);
    const LayerTimes one = time_student(subject, batch, kind.probe, kind.example);
    sum.forward += kind.times * std::max(0.0, one.forward - empty.forward);
    sum.training += kind.times * std::max(0.0, one.training - empty.training);
  }
  return sum;
}

double teacher_time(const ModelConfig& config, const TokenBatch& batch, Precision precision) {
  double sum = time_teacher(batch, empty_probe(config), precision);
  for (const LayerKind& kind : layer_kinds(config))
    sum += kind.times * std::max(0.0, time_teacher(batch, kind.probe, precision) -
                                          time_teacher(batch, emptied(kind.probe), precision));
  return sum;
}

// Head and loss, for some tokens and the first rows of the head: seconds for one token over the whole vocabulary.
struct HeadTimes {
  double training = 0, evaluation = 0;
};

HeadTimes time_head(const PlanSubject& subject) {
  const GradientProductsScope precision(subject.recipe.train.backward);
  const ModelConfig& config = subject.student->config();
  const std::int64_t rows =
      std::min(config.vocab_size, std::max<std::int64_t>(64, kProbeHeadFloats / config.hidden_size));
  const double share = static_cast<double>(rows) / static_cast<double>(config.vocab_size);
  const bool against_teacher = subject.learns_from_teacher();
  const auto chunk = static_cast<std::size_t>(share * static_cast<double>(subject.recipe.loss.chunk_mebibytes << 20));
  const std::int64_t chunk_tokens =
      static_cast<std::int64_t>(chunk) / (rows * (against_teacher ? 2 : 1) * static_cast<std::int64_t>(sizeof(float)));
  const std::int64_t most_tokens = std::clamp<std::int64_t>(kProbeHidden / config.hidden_size, 64, kProbeTokens);
  const std::int64_t tokens = std::clamp<std::int64_t>(2 * (chunk_tokens / 16 * 16), 64, most_tokens);

  const Tensor hidden = random_tensor({tokens, config.hidden_size}, 1.0);
  const Tensor weight = random_tensor({rows, config.hidden_size}, 0.02);
  const ParameterOperand head(Variable::leaf(weight), 1, subject.student->head().members.front().weight->slot);
  const TeacherHead student{Variable(hidden), head.result.operand};
  const TeacherHead teacher{Variable(hidden), operand_of(subject.teacher ? weight.to(DType::bf16) : weight)};
  const std::vector<std::int32_t> labels(static_cast<std::size_t>(tokens), 0);
  const std::vector<float> weights(static_cast<std::size_t>(tokens), 1e-3f);
  const double scale = 1.0 / (share * static_cast<double>(tokens));
  HeadTimes times;
  times.evaluation =
      scale * median_seconds([&] {
        static_cast<void>(fused_linear_figures(student, teacher, labels, static_cast<std::size_t>(share * (32 << 20))));
      });
  if (!subject.trains()) return times;
  times.training = scale * median_seconds([&] {
                     const auto kind = against_teacher ? kernels::RowLoss::kl_forward : kernels::RowLoss::cross_entropy;
                     const FusedLoss loss =
                         fused_linear_loss(Variable::leaf(hidden), head, against_teacher ? &teacher : nullptr, labels,
                                           weights, {kind, 1.0f, chunk});
                     backward(loss.loss);
                   });
  return times;
}

// Norm of the gradient and update, seconds a parameter.
double time_optimizer(const AdamWConfig& config, std::int64_t parameters) {
  const std::int64_t size = std::min<std::int64_t>(parameters, 1 << 22);
  const ParameterPointer parameter = make_parameter("probe", random_tensor({size}, 0.02), true);
  AdamW optimizer(config, {parameter});
  const Tensor gradient = random_tensor({size}, 1e-3);
  return median_seconds([&] {
           parameter->variable.sink()->give(gradient);
           static_cast<void>(gradient_norm({parameter}));
           optimizer.step(1e-4, 1.0);
         }) /
         static_cast<double>(size);
}

// Scores and their product with the values, below the diagonal, for the tokens of a batch.
double attention_operations(const ModelConfig& config, const TokenBatch& batch) {
  double operations = 0, layers = 0;
  for (const Segment& segment : batch.segments)
    operations += 2.0 * std::pow(segment.end - segment.begin, 2) *
                  static_cast<double>(config.num_attention_heads * config.attention_width());
  for (std::int64_t i = 0; i < config.num_hidden_layers; ++i)
    if (config.block(i).num_key_value_heads > 0 && config.layer_kind(i) == layer_letter::attention) ++layers;
  return operations * layers;
}

double sum(const std::vector<std::int64_t>& values) {
  return static_cast<double>(std::accumulate(values.begin(), values.end(), std::int64_t{0}));
}

std::int64_t forwards_per_step(const TrainConfig& train) {
  const std::int64_t of_shard = train.batch_size / train.shards;
  const std::int64_t micro = train.micro_batch_size > 0 ? train.micro_batch_size : of_shard;
  return train.shards * ((of_shard + micro - 1) / micro);
}

}  // namespace

double tokens_per_step(const PlanSubject& subject) {
  const auto& batches = subject.text.micro_batches;
  if (batches.empty()) return 0;
  if (subject.answers_problems())
    return static_cast<double>(subject.text.train_tokens) / static_cast<double>(subject.text.answered_steps);
  return sum(batches) / static_cast<double>(batches.size()) *
         static_cast<double>(forwards_per_step(subject.recipe.train));
}

namespace {

// Seconds a token that attention in the sample's long sequences takes beyond what the shorter probe showed, if its
// products are as fast as those with weights; for a model whose forward takes `forward` seconds a token.
double attention_beyond_probe(const ModelConfig& config, const TokenBatch& sample, const TokenBatch& probe,
                              double forward) {
  const auto a_token = [&](const TokenBatch& batch) {
    return attention_operations(config, batch) / static_cast<double>(batch.size());
  };
  const double operations = 2 * met_weights(config) + a_token(probe);
  return std::max(0.0, a_token(sample) - a_token(probe)) * forward / operations;
}

// Seconds of one more token of `sequences` sequences, in all layers: each has read `length` tokens.
double decoding_seconds(const ModelConfig& config, std::int64_t sequences, std::int64_t length) {
  TokenBatch batch;
  std::vector<SequencePart> parts;
  for (std::int64_t i = 0; i < sequences; ++i) {
    batch.ids.push_back(0);
    batch.positions.push_back(static_cast<std::int32_t>(length - 1));
    parts.push_back({i, i + 1, i, length - 1});
  }
  TokenBatch before;  // without which states would hold what was in their memory
  for (std::int64_t i = 0; i + 1 < length; ++i) {
    before.ids.push_back(0);
    before.positions.push_back(static_cast<std::int32_t>(i));
  }
  const auto turn = [&](const ModelConfig& probe) {
    const std::unique_ptr<LanguageModel> model = probe_model(probe, true);
    const NoGradScope no_grad;
    DecodingState state = model->make_state(sequences, length);
    if (length > 1) static_cast<void>(model->hidden_states(before, {{0, length - 1, 0, 0}}, state));
    for (std::int64_t i = 1; i < sequences; ++i) state.copy(0, i, length - 1);
    return median_seconds([&] { static_cast<void>(model->hidden_states(batch, parts, state)); });
  };
  double seconds = turn(empty_probe(config));
  for (const LayerKind& kind : layer_kinds(config))
    seconds += kind.times * std::max(0.0, turn(kind.probe) - turn(emptied(kind.probe)));
  return seconds;
}

// A step that answers problems (qad/train/grpo.cpp): it writes the answers, looks up what they are to the model that
// wrote them and to the one that it was, and learns from them.
void plan_answers(const PlanSubject& subject, double student_forward, const HeadTimes& head, TimePlan& plan) {
  const ModelConfig& config = subject.student->config();
  const GrpoConfig& grpo = *subject.recipe.grpo;
  const double tokens = tokens_per_step(subject), all_prompts = static_cast<double>(grpo.prompts);
  const double prompt = sum(subject.text.prompts) / static_cast<double>(subject.text.prompts.size());
  const double written = all_prompts * static_cast<double>(grpo.group_size * grpo.max_new_tokens);
  constexpr std::int64_t kProbeSequences = 64;
  const std::int64_t together = std::min(kProbeSequences, grpo.prompts * grpo.group_size);
  const std::int64_t length = std::min(kProbeLength, static_cast<std::int64_t>(prompt) + grpo.max_new_tokens / 2 + 1);
  const double a_forward = student_forward + head.evaluation / 2;  // which is of two heads

  plan.answers = Cost{
      all_prompts * prompt * student_forward +
          written * (decoding_seconds(config, together, length) / static_cast<double>(together) + head.evaluation / 2),
      2 * (all_prompts * prompt + written) * met_weights(config)};
  const auto epochs = static_cast<double>(grpo.epochs), parts = static_cast<double>(grpo.mini_batches);
  // What the answers were, what they are to the reference, and what they are now in every update but the first.
  const double forwards = 2 + epochs - 1 / parts;
  plan.reference_layers = Cost{forwards * tokens * a_forward, forwards * tokens * 2 * met_weights(config)};
  plan.student_layers = epochs * plan.student_layers;
  plan.head = epochs * plan.head;
  plan.optimizer = epochs * parts * plan.optimizer;
}

// Everything that a search measures (qad/run/search_run.cpp), for a forward of so many seconds a token.
double search_seconds(const PlanSubject& subject, double student_forward, double head, const TimePlan& plan) {
  if (subject.search.groups == 0) return 0;
  const SearchConfig& search = *subject.recipe.search;
  const auto scores = static_cast<double>(subject.search.scores), budgets = static_cast<double>(subject.search.budgets);
  const auto candidates = static_cast<double>(subject.search.candidates);
  // A backward costs two forwards, and the states are there before it; each score is then one of a block.
  const double forwards = search.score == SearchScore::kl
                              ? scores + 2
                              : 4 * candidates + scores / static_cast<double>(subject.student->blocks().size());
  return static_cast<double>(search.tokens) * forwards * (student_forward + head) +
         (candidates + budgets) * plan.calibration_seconds + budgets * plan.evaluation_seconds;
}

}  // namespace

TimePlan plan_time(const PlanSubject& subject) {
  const ModelConfig& config = subject.student->config();
  const TokenBatch batch = probe_batch(subject.text.sample, std::min(config.vocab_size, kProbeVocabulary));
  const auto probe_tokens = static_cast<double>(batch.size());
  const LayerTimes layers = student_times(subject, batch);
  const TokenBatch& sample = subject.text.sample;
  const bool again = subject.recipe.train.activation_checkpointing == ActivationCheckpointing::block;
  const double passes = again ? 4.5 : 3.5;  // forward; backward makes the scores again and has four products more
  double student_forward = layers.forward / probe_tokens;
  const double longer = attention_beyond_probe(config, sample, batch, student_forward);
  const double student_training = layers.training / probe_tokens + passes * longer;
  student_forward += longer;
  double teacher_forward = 0;
  if (subject.teacher) {
    teacher_forward = teacher_time(*subject.teacher, batch, subject.recipe.teacher->compute) / probe_tokens;
    teacher_forward += attention_beyond_probe(*subject.teacher, sample, batch, teacher_forward);
  }
  const HeadTimes head = time_head(subject);

  TimePlan plan;
  plan.evaluation_seconds =
      sum(subject.text.evaluation_batches) * (student_forward + teacher_forward + head.evaluation);
  const double calibrated = sum(subject.text.calibration_batches);
  if (!subject.quantizers.empty()) plan.calibration_seconds = calibrated * student_forward;
  if (subject.recipe.prune) plan.calibration_seconds += calibrated * teacher_forward;
  plan.search_seconds = search_seconds(subject, student_forward, head.evaluation, plan);
  if (!subject.trains()) return plan;

  const double tokens = tokens_per_step(subject);
  const bool learns = subject.learns_from_teacher();
  const double head_weights = static_cast<double>(config.vocab_size * config.hidden_size);
  plan.student_layers = tokens * Cost{student_training, (again ? 8 : 6) * met_weights(config)};
  plan.head = tokens * Cost{head.training, (learns ? 8 : 6) * head_weights};
  double attention = passes * attention_operations(config, sample);
  if (learns) {
    const ModelConfig& teacher = *subject.teacher;
    plan.teacher_layers = tokens * Cost{teacher_forward, 2 * met_weights(teacher)};
    attention += attention_operations(teacher, sample);
  }
  plan.attention_operations = attention * tokens / static_cast<double>(sample.size());
  const std::int64_t parameters = parameter_count(*subject.student);
  plan.optimizer.seconds = static_cast<double>(parameters) * time_optimizer(subject.recipe.train.adamw, parameters);
  if (subject.answers_problems()) plan_answers(subject, student_forward, head, plan);
  return plan;
}

}  // namespace qad
