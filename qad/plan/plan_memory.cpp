// Shapes: T tokens of a batch, C hidden size, Q width of the queries, K of the keys, F of the feed-forward layer, V
// vocabulary. The order of the counting follows models/layers, autograd/nn and autograd/ops.
#include "qad/plan/plan_memory.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>

#include "autograd/kernels/table.h"
#include "autograd/ops/fused_linear_loss.h"
#include "autograd/ops/panel_product.h"
#include "qad/layouts/registry.h"
#include "qad/plan/storage_ledger.h"

namespace qad {
namespace {

constexpr std::int64_t kFloat = sizeof(float);

// A matrix as codes and scales (qad/formats/quantized_tensor.h).
void hold_codes(HeldStorage& held, const BlockFormat& format, std::int64_t rows, std::int64_t cols) {
  held.hold(rows * format.code_bytes_per_row(cols));
  if (format.scale != nullptr)
    held.hold(rows * format.blocks_per_row(cols) * static_cast<std::int64_t>(bytes_of(format.scale_dtype())));
}

constexpr std::int64_t kBf16 = sizeof(std::uint16_t);

// What a weight of another type is expanded into.
std::int64_t panel_bytes(std::int64_t rows, std::int64_t cols, std::int64_t value_bytes) {
  return std::min(rows, weight_panel_rows(cols)) * cols * value_bytes;
}

// How the input of a group of layers is quantized; null: not at all.
struct InputFormat {
  const BlockFormat* format = nullptr;
  bool in_bf16 = false;  // multiplied in BF16, since that is exact for it and for the weights

  explicit operator bool() const { return format != nullptr; }
};

// Of a layer's inputs, and the format of its keys and values.
struct LayerInputs {
  InputFormat qkv, output, gate_up, down;
  const BlockFormat* cache = nullptr;
};

class LayerReplay {
 public:
  LayerReplay(const ModelConfig& config, std::vector<LayerInputs> layers, StorageLedger& ledger)
      : config_(config),
        layers_(std::move(layers)),
        ledger_(ledger),
        c_(config.hidden_size),
        q_(config.num_attention_heads * config.head_size()),
        k_(config.num_key_value_heads * config.head_size()),
        f_(config.intermediate_size) {}

  // A forward that keeps nothing but its result, which the caller holds. While calibration observes, inputs pass as
  // they are.
  void forward(std::int64_t tokens, bool observing = false) const {
    HeldStorage residual(ledger_);
    residual.hold(floats(tokens, c_));
    for (const LayerInputs& layer : layers_) pass(tokens, observing ? LayerInputs{} : layer);
    residual.hold(floats(tokens, c_)).hold(tokens * kFloat);  // the final norm
  }

  // What the nodes of one layer keep for backward. A value that two nodes keep counts once.
  void keep(HeldStorage& kept, std::int64_t tokens, const LayerInputs& layer) const {
    const std::int64_t heads = config_.num_attention_heads, kv_heads = config_.num_key_value_heads;
    kept.hold(floats(tokens, c_), 2).hold(tokens * kFloat, 2);  // inputs of both norms, and their inverse RMS
    keep_input(kept, tokens, c_, layer.qkv.format);
    if (config_.qk_norm)
      kept.hold(floats(tokens, q_))
          .hold(floats(tokens, k_))
          .hold(tokens * heads * kFloat)
          .hold(tokens * kv_heads * kFloat);
    kept.hold(floats(tokens, q_));  // rotated queries
    for (int i = 0; i < 2; ++i) keep_input(kept, tokens, k_, layer.cache);
    kept.hold(tokens * heads * kFloat);  // attention's log-sum-exp
    keep_input(kept, tokens, q_, layer.output.format);
    keep_input(kept, tokens, c_, layer.gate_up.format);
    kept.hold(floats(tokens, f_), 2);  // gate and up
    keep_input(kept, tokens, f_, layer.down.format);
  }

  // Training: a forward that records, then `between` (head and loss), then backward. `kept_bytes` receives what was
  // kept.
  template <class Between>
  void train(std::int64_t tokens, bool checkpointing, std::int64_t& kept_bytes, Between&& between) const {
    HeldStorage kept(ledger_);
    std::vector<HeldStorage> of_layers;
    for (const LayerInputs& layer : layers_) {
      of_layers.emplace_back(ledger_);
      if (checkpointing) {
        of_layers.back().hold(floats(tokens, c_));
        pass(tokens, layer);
      } else {
        keep(of_layers.back(), tokens, layer);
        HeldStorage passing(ledger_);
        hold_passing(passing, tokens, layer, true);
      }
    }
    kept.hold(floats(tokens, c_)).hold(tokens * kFloat);  // the final norm's input
    kept_bytes = kept.bytes();
    for (const HeldStorage& layer : of_layers) kept_bytes += layer.bytes();
    between();

    HeldStorage gradient(ledger_);
    gradient.hold(floats(tokens, c_), 2);  // what comes from above, and what the norm makes of it
    gradient.hold(floats(tokens, c_));
    kept.drop_all();
    for (auto layer = layers_.size(); layer-- > 0;) {
      if (checkpointing) {
        keep(of_layers[layer], tokens, layers_[layer]);
        HeldStorage passing(ledger_);
        hold_passing(passing, tokens, layers_[layer], true);
      }
      back(tokens, layers_[layer]);
      of_layers[layer].drop_all();
    }
  }

 private:
  [[nodiscard]] static std::int64_t floats(std::int64_t rows, std::int64_t cols) { return rows * cols * kFloat; }

  static void keep_input(HeldStorage& kept, std::int64_t tokens, std::int64_t cols, const BlockFormat* format) {
    if (format != nullptr) hold_codes(kept, *format, tokens, cols);
    else kept.hold(floats(tokens, cols));
  }

  // A quantized input as its products read it.
  static void hold_values(HeldStorage& passing, std::int64_t tokens, std::int64_t cols, const InputFormat& input) {
    if (input) passing.hold(tokens * cols * (input.in_bf16 ? kBf16 : kFloat));
  }
  static void hold_values_and_codes(HeldStorage& passing, std::int64_t tokens, std::int64_t cols,
                                    const InputFormat& input) {
    hold_values(passing, tokens, cols, input);
    if (input) hold_codes(passing, *input.format, tokens, cols);
  }

  // All that lives at the end of the feed-forward layer, or of attention, while a layer runs.
  void pass(std::int64_t tokens, const LayerInputs& layer) const {
    HeldStorage passing(ledger_);
    hold_passing(passing, tokens, layer, false);
    passing.drop_all();
    const int rounded = layer.cache != nullptr ? 2 : 0;
    passing.hold(floats(tokens, c_), 2);  // norm and output
    hold_values_and_codes(passing, tokens, c_, layer.qkv);
    passing.hold(floats(tokens, q_), 2).hold(floats(tokens, k_), 2 + rounded);  // rotated in place, attended
    passing.hold(tokens * config_.num_attention_heads * kFloat);
    hold_values_and_codes(passing, tokens, q_, layer.output);
  }

  // The feed-forward layer: residual, norm, gate, up, their product, the output; each quantized input once more.
  // `recorded`: without what the tape keeps anyway.
  void hold_passing(HeldStorage& passing, std::int64_t tokens, const LayerInputs& layer, bool recorded) const {
    if (recorded) {
      passing.hold(floats(tokens, c_), layer.gate_up ? 2 : 1).hold(floats(tokens, f_), layer.down ? 1 : 0);
      hold_values(passing, tokens, c_, layer.gate_up);
      hold_values(passing, tokens, f_, layer.down);
      return;
    }
    passing.hold(floats(tokens, c_), 3).hold(floats(tokens, f_), 3);
    hold_values_and_codes(passing, tokens, c_, layer.gate_up);
    hold_values_and_codes(passing, tokens, f_, layer.down);
  }

  // Gradients on their way through one layer: of the product of gate and up beside an expanded input (those of gate and
  // up lie where gate and up lay), of the input of both, of what attention reads.
  void back(std::int64_t tokens, const LayerInputs& layer) const {
    HeldStorage passing(ledger_);
    passing.hold(floats(tokens, f_), layer.down ? 2 : 1);
    passing.drop_all();
    passing.hold(floats(tokens, c_), layer.gate_up ? 2 : 1);
    passing.drop_all();
    passing.hold(floats(tokens, q_), 2).hold(floats(tokens, k_), 2 + (layer.cache != nullptr ? 2 : 0));
  }

  ModelConfig config_;
  std::vector<LayerInputs> layers_;
  StorageLedger& ledger_;
  std::int64_t c_, q_, k_, f_;
};

std::vector<LayerInputs> layer_inputs(const PlanSubject& subject) {
  const QuantizeConfig& quantize = subject.recipe.quantize;
  const auto exact = [&](const BlockFormat& format) {
    const bool power_of_two = !format.has_tensor_scale || quantize.tensor_scale.round == TensorScaleRound::pow2;
    return power_of_two && format.exact_in_bf16(1.0f);
  };
  std::map<std::string, InputFormat> by_group;
  for (const LinearQuantizers& linear : subject.quantizers.linears()) {
    if (!linear.inputs) continue;
    const bool weights_exact =
        linear.weights ? exact(linear.weights->format()) : quantize.unquantized == UnquantizedType::bf16;
    const bool in_bf16 = weights_exact && exact(linear.inputs->format()) && kernel_table().gemm_bf16 != nullptr;
    const auto [entry, is_new] = by_group.try_emplace(linear.group, InputFormat{&linear.inputs->format(), in_bf16});
    if (!is_new) entry->second.in_bf16 = entry->second.in_bf16 && in_bf16;
  }
  const auto of = [&](const std::string& group) {
    const auto found = by_group.find(group);
    return found == by_group.end() ? InputFormat{} : found->second;
  };
  std::vector<LayerInputs> layers;
  for (std::int64_t i = 0; i < subject.student->config().num_hidden_layers; ++i) {
    const std::string prefix = "model.layers." + std::to_string(i);
    layers.push_back({of(prefix + ".self_attn.qkv_proj"), of(prefix + ".self_attn.o_proj"),
                      of(prefix + ".mlp.gate_up_proj"), of(prefix + ".mlp.down_proj"),
                      subject.quantizers.caches().empty() ? nullptr : &subject.quantizers.caches()[0].keys->format()});
  }
  return layers;
}

class MemoryReplay {
 public:
  explicit MemoryReplay(const PlanSubject& subject)
      : subject_(subject),
        config_(subject.student->config()),
        student_(config_, layer_inputs(subject), ledger_),
        teacher_(
            subject.teacher.value_or(config_),
            std::vector<LayerInputs>(static_cast<std::size_t>(subject.teacher.value_or(config_).num_hidden_layers)),
            ledger_) {}

  MemoryPlan run() {
    HeldStorage teacher(ledger_), student(ledger_), moments(ledger_), codes(ledger_), rotary(ledger_);
    if (subject_.teacher) hold_parameters(teacher, *shapes_of(*subject_.teacher), subject_.teacher_value_bytes);
    hold_parameters(student, *subject_.student, kFloat);
    if (subject_.start_value_bytes > 0) {
      HeldStorage start(ledger_);
      hold_parameters(start, *subject_.student, subject_.start_value_bytes);
    }
    if (subject_.trains())
      for (int moment = 0; moment < 2; ++moment) hold_parameters(moments, *subject_.student, kFloat);
    hold_rotary(rotary);
    plan_.teacher = teacher.bytes();
    plan_.student = student.bytes();
    plan_.moments = moments.bytes();

    if (!subject_.quantizers.empty())
      for (const std::int64_t tokens : sizes(subject_.text.calibration_batches)) student_.forward(tokens, true);
    for (const LinearQuantizers& linear : subject_.quantizers.linears())
      if (linear.weights) {
        const Tensor& weight = linear.weight->value();
        hold_codes(codes, linear.weights->format(), weight.rows(), weight.cols());
        for (const std::int64_t value_bytes : {kFloat, kBf16})
          pass_through(panel_bytes(weight.rows(), weight.cols(), value_bytes));
      }
    plan_.weight_codes = codes.bytes();
    if (subject_.teacher || subject_.recipe.quantize.unquantized == UnquantizedType::bf16)
      for (const ParameterPointer& parameter : subject_.student->parameters())
        if (parameter->value().shape().rank() == 2)
          pass_through(panel_bytes(parameter->value().rows(), parameter->value().cols(), kFloat));
    for (const std::int64_t tokens : sizes(subject_.text.evaluation_batches)) evaluate(tokens);

    HeldStorage gradients(ledger_);
    if (subject_.trains()) {
      // Every micro-batch but the first runs beside gradients, and later steps find their blocks.
      hold_parameters(gradients, *subject_.student, kFloat);
      plan_.gradients = gradients.bytes();
      for (const std::int64_t tokens : sizes(subject_.text.micro_batches)) step(tokens);
    }
    const std::int64_t before_export = ledger_.resident();
    plan_.working = before_export - (plan_.teacher + plan_.student + plan_.moments + plan_.weight_codes +
                                     plan_.gradients + plan_.activations + plan_.logits);
    gradients.drop_all();
    plan_.exports = export_all() - before_export;
    return plan_;
  }

 private:
  [[nodiscard]] static std::set<std::int64_t> sizes(const std::vector<std::int64_t>& batches) {
    return {batches.begin(), batches.end()};
  }

  void pass_through(std::int64_t bytes) { HeldStorage(ledger_).hold(bytes); }

  static void hold_parameters(HeldStorage& held, LanguageModel& model, std::int64_t bytes_per_value) {
    for (const ParameterPointer& parameter : model.parameters()) held.hold(parameter->value().size() * bytes_per_value);
  }

  // Cosines and sines of both models (models/families/llama.cpp).
  void hold_rotary(HeldStorage& held) const {
    const std::int64_t positions = std::max<std::int64_t>(256, subject_.recipe.data.sequence_length);
    held.hold(positions * config_.head_size() / 2 * kFloat, 2);
    if (subject_.teacher) held.hold(positions * subject_.teacher->head_size() / 2 * kFloat, 2);
  }

  void hold_logits(HeldStorage& held, std::int64_t mebibytes, std::int64_t tokens, int matrices) const {
    const std::int64_t rows =
        logit_chunk_rows(static_cast<std::size_t>(mebibytes) << 20, config_.vocab_size, tokens, matrices);
    held.hold(rows * config_.vocab_size * kFloat, matrices);
  }

  void evaluate(std::int64_t tokens) {
    constexpr std::int64_t kChunkMebibytes = 32;  // qad/train/evaluator.cpp
    HeldStorage held(ledger_);
    student_.forward(tokens);
    held.hold(tokens * config_.hidden_size * kFloat);
    if (subject_.teacher) {
      teacher_.forward(tokens);
      held.hold(tokens * subject_.teacher->hidden_size * kFloat);
    }
    hold_logits(held, kChunkMebibytes, tokens, 2);
  }

  void step(std::int64_t tokens) {
    const bool teacher = subject_.learns_from_teacher();
    HeldStorage hidden(ledger_);
    if (teacher) {
      teacher_.forward(tokens);
      hidden.hold(tokens * subject_.teacher->hidden_size * kFloat);
    }
    std::int64_t kept = 0;
    const bool checkpointing = subject_.recipe.train.activation_checkpointing == ActivationCheckpointing::block;
    student_.train(tokens, checkpointing, kept, [&] {
      hidden.hold(tokens * config_.hidden_size * kFloat, 2);  // what the head reads, and its gradient
      HeldStorage logits(ledger_);
      hold_logits(logits, subject_.recipe.loss.chunk_mebibytes, tokens, teacher ? 2 : 1);
      plan_.logits = std::max(plan_.logits, logits.bytes());
      hidden.drop_all();
    });
    plan_.activations = std::max(plan_.activations, kept);
  }

  // The best checkpoint in a second student, then one layout after the other (qad/run/export_student.cpp).
  std::int64_t export_all() {
    std::int64_t files = 0;
    if (!subject_.recipe.export_formats.empty()) {
      HeldStorage student(ledger_), codes(ledger_);
      hold_parameters(student, *subject_.student, kFloat);
      {
        HeldStorage content(ledger_);
        hold_parameters(content, *subject_.student, kFloat);
      }
      hold_all_codes(codes);
      for (const std::string& format : subject_.recipe.export_formats) {
        HeldStorage written(ledger_), read(ledger_);
        hold_export(written, exporter(format).stores_codes);
        hold_export(read, exporter(format).stores_codes);
        files = std::max(files, read.bytes());  // mapped while they are read
        written.drop_all();
        read.drop_all();
        hold_parameters(read, *subject_.student, kFloat);  // decoded, to compare and to run
      }
    }
    return ledger_.resident() + files;
  }

  void hold_all_codes(HeldStorage& held) const {
    for (const LinearQuantizers& linear : subject_.quantizers.linears())
      if (linear.weights)
        hold_codes(held, linear.weights->format(), linear.weight->value().rows(), linear.weight->value().cols());
  }

  void hold_export(HeldStorage& held, bool stores_codes) const {
    if (stores_codes) hold_all_codes(held);
    std::set<const Parameter*> packed;
    if (stores_codes)
      for (const LinearQuantizers& linear : subject_.quantizers.linears())
        if (linear.weights) packed.insert(linear.weight.get());
    for (const ParameterPointer& parameter : subject_.student->parameters())
      if (!packed.contains(parameter.get())) held.hold(parameter->value().size() * 2);
  }

  const PlanSubject& subject_;
  const ModelConfig& config_;
  StorageLedger ledger_;
  LayerReplay student_, teacher_;
  MemoryPlan plan_;
};

}  // namespace

MemoryPlan plan_memory(const PlanSubject& subject, std::int64_t process_bytes) {
  MemoryPlan plan = MemoryReplay(subject).run();
  plan.process = process_bytes;
  return plan;
}

std::int64_t resident_bytes_now() {
  ::malloc_trim(0);
  std::int64_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

}  // namespace qad
