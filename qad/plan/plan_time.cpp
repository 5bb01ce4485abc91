#include "qad/plan/plan_time.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <tuple>

#include "autograd/base/clock.h"
#include "autograd/base/random.h"
#include "autograd/optim/adamw.h"
#include "models/families/linear_shapes.h"
#include "models/families/registry.h"
#include "qad/calib/calibrate.h"
#include "qad/loss/loss.h"

namespace qad {
namespace {

constexpr std::int64_t kProbeTokens = 1024;  // of a longer batch, the first sequences of so many
constexpr std::int64_t kProbeLength = 2048;  // of a longer sequence, the first
constexpr std::int64_t kProbeWeights =
    1 << 24;  // of a larger layer, one that is narrower by the same factor throughout
constexpr std::int64_t kProbeHeadFloats = 1 << 25;  // of a larger head, the first rows: still beyond any cache
constexpr std::int64_t kProbeVocabulary = 256;      // of the layers' probe, whose embedding does not matter

// The median of a few runs after one to warm up.
template <class Run>
double seconds_of(Run&& run) {
  run();
  std::vector<double> times;
  for (const double begun = steady_seconds();
       times.size() < 2 || (times.size() < 9 && steady_seconds() - begun < 0.15);) {
    const double start = steady_seconds();
    run();
    times.push_back(steady_seconds() - start);
  }
  std::ranges::sort(times);
  return times.size() % 2 == 1 ? times[times.size() / 2] : (times[times.size() / 2 - 1] + times[times.size() / 2]) / 2;
}

// Normal numbers, a few of them over and over.
Tensor random_tensor(const Shape& shape, double deviation) {
  static const std::vector<double> table = [] {
    std::vector<double> values(65521);
    Random random(1, stream_of("plan"));
    for (double& value : values) value = random.normal();
    return values;
  }();
  const Tensor tensor(shape);
  std::size_t next = 0;
  for (float& value : tensor.span()) {
    value = static_cast<float>(deviation * table[next]);
    next = next + 1 == table.size() ? 0 : next + 1;
  }
  return tensor;
}

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

// Weights of a model's layers that a token meets, on average: what the time of a layer goes with.
double met_weights(const ModelConfig& config) {
  double weights = 0;
  std::vector<LinearShape> shapes = linear_shapes(config);
  shapes.pop_back();  // the head
  for (const LinearShape& shape : shapes)
    weights += shape.token_share * static_cast<double>(shape.out_features) * static_cast<double>(shape.in_features);
  return weights;
}

// A model of one layer, which is like layer `index` of another.
ModelConfig layer_of(ModelConfig config, std::int64_t index) {
  const BlockConfig block = config.block(index);
  const bool has_experts = config.experts && config.experts->has_layer(index);
  config.sliding_window = config.window_of(index);
  config.max_window_layers = 0;
  config.num_hidden_layers = 1;
  config.blocks.clear();
  if (block.num_key_value_heads > 0) config.num_key_value_heads = block.num_key_value_heads;
  if (block.intermediate_size > 0) config.intermediate_size = block.intermediate_size;
  if (block.num_key_value_heads == 0 || block.intermediate_size == 0) config.blocks = {block};
  if (!has_experts) config.experts.reset();
  if (config.experts) config.experts->decoder_sparse_step = 1, config.experts->mlp_only_layers.clear();
  return config;
}

// One like it that any machine has room for: widths stay multiples of what formats ask for.
ModelConfig narrowed(ModelConfig config) {
  constexpr std::int64_t kMultiple = 256, kMostExperts = 16;
  config.head_dim = config.head_size();
  if (config.experts) {
    ExpertsConfig& experts = *config.experts;
    experts.num_experts = std::min(experts.num_experts, std::max(kMostExperts, experts.num_experts_per_tok));
  }
  double weights = 0;
  for (const LinearShape& shape : linear_shapes(config))
    if (shape.name != "lm_head")
      weights += static_cast<double>(shape.out_features) * static_cast<double>(shape.in_features);
  const double factor = std::sqrt(static_cast<double>(kProbeWeights) / weights);
  if (weights == 0 || factor >= 1) return config;
  const auto narrow = [&](std::int64_t width, std::int64_t multiple) {
    const auto wanted = static_cast<std::int64_t>(std::round(factor * static_cast<double>(width)));
    return std::min(width, std::max(multiple, wanted / multiple * multiple));
  };
  const std::int64_t group = config.num_attention_heads / config.num_key_value_heads;
  config.hidden_size = narrow(config.hidden_size, kMultiple);
  config.intermediate_size = narrow(config.intermediate_size, kMultiple);
  config.num_key_value_heads = narrow(config.num_key_value_heads, 1);
  config.num_attention_heads = config.num_key_value_heads * group;
  if (config.experts) config.experts->moe_intermediate_size = narrow(config.experts->moe_intermediate_size, kMultiple);
  for (BlockConfig& block : config.blocks) {
    if (block.num_key_value_heads > 0) block.num_key_value_heads = config.num_key_value_heads;
    if (block.intermediate_size > 0) block.intermediate_size = config.intermediate_size;
  }
  return config;
}

// Layers that have the same parts. One of them is timed, the others take as much longer as they have more weights.
struct LayerKind {
  std::int64_t example;  // a layer of the model
  ModelConfig probe;     // like it
  double times = 0;      // so many probes are all layers of the kind
};

std::vector<LayerKind> kinds_of(const ModelConfig& config) {
  std::map<std::tuple<bool, bool, bool, bool>, LayerKind> kinds;
  for (std::int64_t i = 0; i < config.num_hidden_layers; ++i) {
    const ModelConfig layer = layer_of(config, i);
    const BlockConfig block = layer.block(0);
    const auto parts = std::tuple(block.num_key_value_heads > 0, block.intermediate_size > 0, layer.experts.has_value(),
                                  layer.sliding_window > 0);
    const auto kind = kinds.try_emplace(parts, LayerKind{i, narrowed(layer)}).first;
    if (const double of_probe = met_weights(kind->second.probe); of_probe > 0)
      kind->second.times += met_weights(layer) / of_probe;
  }
  std::vector<LayerKind> result;
  for (auto& [parts, kind] : kinds)
    if (kind.times > 0) result.push_back(std::move(kind));
  return result;
}

std::unique_ptr<LanguageModel> probe_model(ModelConfig config, bool trained) {
  config.vocab_size = std::min(config.vocab_size, kProbeVocabulary);
  config.tie_word_embeddings = true;
  return make_model(config, [trained](const ParameterSpec& spec) {
    const Tensor value = spec.role == Role::norm ? Tensor::full(spec.shape, 1.0f) : random_tensor(spec.shape, 0.02);
    return make_parameter(spec.name, trained ? value : value.to(DType::bf16), trained);
  });
}

// The same without its layer.
ModelConfig emptied(ModelConfig config) {
  config.num_hidden_layers = 0;
  config.blocks.clear();
  return config;
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
  model->activation_checkpointing = subject.recipe.train.activation_checkpointing;
  const ParameterList parameters = trained_parameters(*model, quantizers);
  const Tensor gradient = random_tensor({batch.size(), model->config().hidden_size}, 1e-3);
  LayerTimes times;
  times.forward = seconds_of([&] {
    const NoGradScope no_grad;
    static_cast<void>(model->hidden_states(batch));
  });
  if (!subject.trains()) return times;
  times.training = seconds_of([&] {
    for (const ParameterPointer& parameter : parameters) parameter->changed();  // as after an optimizer step
    backward(model->hidden_states(batch), gradient);
    clear_gradients(parameters);
  });
  return times;
}

double time_teacher(const TokenBatch& batch, const ModelConfig& config) {
  const std::unique_ptr<LanguageModel> model = probe_model(config, false);
  return seconds_of([&] {
    const NoGradScope no_grad;
    static_cast<void>(model->hidden_states(batch));
  });
}

// All layers and what is around them, for the probe's batch.
LayerTimes student_times(const PlanSubject& subject, const TokenBatch& batch) {
  const ModelConfig& config = subject.student->config();
  LayerTimes sum = time_student(subject, batch, emptied(narrowed(layer_of(config, 0))), 0);
  const std::vector<LayerKind> kinds = kinds_of(config);
  for (const LayerKind& kind : kinds) {
    const LayerTimes empty = time_student(subject, batch, emptied(kind.probe), 0);
    const LayerTimes one = time_student(subject, batch, kind.probe, kind.example);
    sum.forward += kind.times * std::max(0.0, one.forward - empty.forward);
    sum.training += kind.times * std::max(0.0, one.training - empty.training);
  }
  return sum;
}

double teacher_time(const ModelConfig& config, const TokenBatch& batch) {
  double sum = time_teacher(batch, emptied(narrowed(layer_of(config, 0))));
  for (const LayerKind& kind : kinds_of(config))
    sum += kind.times * std::max(0.0, time_teacher(batch, kind.probe) - time_teacher(batch, emptied(kind.probe)));
  return sum;
}

// Head and loss, for some tokens and the first rows of the head: seconds for one token over the whole vocabulary.
struct HeadTimes {
  double training = 0, evaluation = 0;
};

HeadTimes time_head(const PlanSubject& subject) {
  const ModelConfig& config = subject.student->config();
  const std::int64_t rows =
      std::min(config.vocab_size, std::max<std::int64_t>(64, kProbeHeadFloats / config.hidden_size));
  const double share = static_cast<double>(rows) / static_cast<double>(config.vocab_size);
  const bool against_teacher = subject.learns_from_teacher();
  const auto chunk = static_cast<std::size_t>(share * static_cast<double>(subject.recipe.loss.chunk_mebibytes << 20));
  const std::int64_t chunk_tokens =
      static_cast<std::int64_t>(chunk) / (rows * (against_teacher ? 2 : 1) * static_cast<std::int64_t>(sizeof(float)));
  const std::int64_t tokens = std::clamp<std::int64_t>(2 * (chunk_tokens / 16 * 16), 64, kProbeTokens);

  const Tensor hidden = random_tensor({tokens, config.hidden_size}, 1.0);
  const Tensor weight = random_tensor({rows, config.hidden_size}, 0.02);
  const ParameterOperand head(Variable::leaf(weight), 1, subject.student->head().members.front().weight->slot);
  const TeacherHead student{hidden, head.result.operand};
  const TeacherHead teacher{hidden, operand_of(subject.teacher ? weight.to(DType::bf16) : weight)};
  const std::vector<std::int32_t> labels(static_cast<std::size_t>(tokens), 0);
  const std::vector<float> weights(static_cast<std::size_t>(tokens), 1e-3f);
  const double scale = 1.0 / (share * static_cast<double>(tokens));
  HeadTimes times;
  times.evaluation =
      scale * seconds_of([&] {
        static_cast<void>(fused_linear_figures(student, teacher, labels, static_cast<std::size_t>(share * (32 << 20))));
      });
  if (!subject.trains()) return times;
  times.training = scale * seconds_of([&] {
                     const auto kind = against_teacher ? kernels::RowLoss::kl_forward : kernels::RowLoss::cross_entropy;
                     const FusedLoss loss =
                         fused_linear_loss(Variable::leaf(hidden), head, against_teacher ? &teacher : nullptr, labels,
                                           weights, {kind, 1.0f, chunk});
                     backward(loss.loss);
                   });
  return times;
}

// Norm of the gradient and update, seconds a parameter.
double time_optimizer(std::int64_t parameters) {
  const std::int64_t size = std::min<std::int64_t>(parameters, 1 << 22);
  const ParameterPointer parameter = make_parameter("probe", random_tensor({size}, 0.02), true);
  AdamW optimizer({}, {parameter});
  const Tensor gradient = random_tensor({size}, 1e-3);
  return seconds_of([&] {
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
                  static_cast<double>(config.num_attention_heads * config.head_size());
  for (std::int64_t i = 0; i < config.num_hidden_layers; ++i)
    if (config.block(i).num_key_value_heads > 0) ++layers;
  return operations * layers;
}

double sum(const std::vector<std::int64_t>& values) {
  return static_cast<double>(std::accumulate(values.begin(), values.end(), std::int64_t{0}));
}

std::int64_t forwards_per_step(const TrainConfig& train) {
  const std::int64_t micro = train.micro_batch_size > 0 ? train.micro_batch_size : train.batch_size;
  return (train.batch_size + micro - 1) / micro;
}

}  // namespace

double tokens_per_step(const PlanSubject& subject) {
  const auto& batches = subject.text.micro_batches;
  if (batches.empty()) return 0;
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
    teacher_forward = teacher_time(*subject.teacher, batch) / probe_tokens;
    teacher_forward += attention_beyond_probe(*subject.teacher, sample, batch, teacher_forward);
  }
  const HeadTimes head = time_head(subject);

  TimePlan plan;
  plan.evaluation_seconds =
      sum(subject.text.evaluation_batches) * (student_forward + teacher_forward + head.evaluation);
  if (!subject.quantizers.empty()) plan.calibration_seconds = sum(subject.text.calibration_batches) * student_forward;
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
  plan.optimizer.seconds = static_cast<double>(parameters) * time_optimizer(parameters);
  return plan;
}

}  // namespace qad
