#include "qad/recipe/peer_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "qad/recipe/recipe.h"

namespace qad {
namespace {

using Word = std::pair<std::string_view, std::string_view>;

constexpr std::string_view kSteps = "train.steps; an epoch is the number of sequences over train.batch_size";
constexpr std::string_view kBatch =
    "train.batch_size, the sequences of a step, and train.micro_batch_size, those of a forward";
constexpr std::string_view kRules = "quantize.rules, or imports: [presets/nvfp4_w4a4]";

constexpr auto kWords = std::to_array<Word>({
    {"teacher.path", "teacher.model"},
    {"teacher.name_or_path", "teacher.model"},
    {"student.path", "student.model"},
    {"student.name_or_path", "student.model"},
    {"data.train.path", "data.train.text, or jsonl or token_file there"},
    {"data.eval.path", "data.eval.text, or jsonl or token_file there"},
    {"calibrate.method", "calibrate.algorithm"},
    {"temperature", "loss.temperature"},
    {"learning_rate", "train.lr"},
    {"max_lr", "train.lr"},
    {"base_lr", "train.lr"},
    {"min_lr", "train.final_lr_fraction, a fraction of train.lr"},
    {"lr_scheduler", "train.schedule"},
    {"lr_scheduler_type", "train.schedule"},
    {"scheduler", "train.schedule"},
    {"num_warmup_steps", "train.warmup_steps"},
    {"warmup_ratio", "train.warmup_steps, a number of steps"},
    {"lr_warmup_steps", "train.warmup_steps"},
    {"max_steps", "train.steps"},
    {"num_steps", "train.steps"},
    {"total_steps", "train.steps"},
    {"train_iters", "train.steps"},
    {"max_iters", "train.steps"},
    {"num_train_steps", "train.steps"},
    {"max_steps_per_epoch", "train.steps"},
    {"epochs", kSteps},
    {"num_epochs", kSteps},
    {"num_train_epochs", kSteps},
    {"per_device_train_batch_size", kBatch},
    {"per_gpu_train_batch_size", kBatch},
    {"train_batch_size", kBatch},
    {"global_batch_size", "train.batch_size"},
    {"local_batch_size", "train.micro_batch_size"},
    {"gradient_accumulation_steps", kBatch},
    {"per_device_eval_batch_size", "evaluate.batch_size"},
    {"eval_batch_size", "evaluate.batch_size"},
    {"weight_decay", "train.adamw.weight_decay"},
    {"optimizer", "train.adamw"},
    {"optim", "train.adamw"},
    {"adam_beta1", "train.adamw.beta1"},
    {"adam_beta2", "train.adamw.beta2"},
    {"betas", "train.adamw.beta1 and train.adamw.beta2"},
    {"adam_epsilon", "train.adamw.epsilon"},
    {"eps", "train.adamw.epsilon"},
    {"param_groups", "train.parameters"},
    {"paramwise_cfg", "train.parameters"},
    {"lr_mult", "train.parameters, lr_factor of a rule"},
    {"layerwise_lr", "train.parameters, lr_factor of a rule"},
    {"freeze", "train.parameters, frozen: true in a rule"},
    {"ffn_hidden_size", "prune.intermediate_size"},
    {"num_layers", "prune.num_hidden_layers"},
    {"num_moe_experts", "prune.num_experts"},
    {"moe_ffn_hidden_size", "prune.moe_intermediate_size"},
    {"num_query_groups", "prune.num_key_value_heads"},
    {"layers_to_drop", "prune.layers, those that stay"},
    {"drop_layers", "prune.layers, those that stay"},
    {"hidden_size_divisor", "prune.multiple"},
    {"ffn_hidden_size_divisor", "prune.multiple"},
    {"frozen_parameters", "train.parameters, frozen: true in a rule"},
    {"freeze_modules", "train.parameters, frozen: true in a rule"},
    {"trainable_params", "train.parameters, frozen: true in a rule for all, and a later rule for these"},
    {"trainable_parameters", "train.parameters, frozen: true in a rule for all, and a later rule for these"},
    {"learnable_amax", "quantize.scales: lsq or dual_lsq"},
    {"tied_amax", "quantize.scales: lsq is tied, dual_lsq is not"},
    {"lsq", "quantize.scales: lsq"},
    {"max_grad_norm", "train.clip_norm"},
    {"clip_grad_norm", "train.clip_norm"},
    {"grad_clip", "train.clip_norm"},
    {"gradient_clipping", "train.clip_norm"},
    {"gradient_checkpointing", "train.activation_checkpointing: block"},
    {"enable_activation_checkpointing", "train.activation_checkpointing: block"},
    {"recompute", "train.activation_checkpointing: block"},
    {"early_stopping_patience", "train.patience"},
    {"max_seq_len", "data.sequence_length"},
    {"max_seq_length", "data.sequence_length"},
    {"seq_len", "data.sequence_length"},
    {"seq_length", "data.sequence_length"},
    {"block_size", "data.sequence_length"},
    {"context_length", "data.sequence_length"},
    {"max_length", "data.sequence_length"},
    {"model_max_length", "data.sequence_length"},
    {"sequence_len", "data.sequence_length"},
    {"packed", "data.packing"},
    {"sample_packing", "data.packing"},
    {"dataset", "data.train and data.eval"},
    {"datasets", "data.train and data.eval"},
    {"train_file", "data.train"},
    {"train_files", "data.train"},
    {"data_files", "data.train"},
    {"train_dataset", "data.train"},
    {"validation_file", "data.eval"},
    {"eval_dataset", "data.eval"},
    {"test_datasets", "data.eval"},
    {"train_on_input", "data.train.loss_on: all"},
    {"train_on_inputs", "data.train.loss_on: all"},
    {"assistant_only_loss", "data.train.loss_on: assistant"},
    {"completion_only_loss", "data.train.loss_on: assistant"},
    {"shuffle", "data.order"},
    {"model_name_or_path", "teacher.model"},
    {"pretrained_model_name_or_path", "teacher.model"},
    {"base_model", "teacher.model"},
    {"model_path", "teacher.model"},
    {"model_id", "teacher.model"},
    {"model", "teacher.model or student.model"},
    {"teacher_model", "teacher.model"},
    {"teacher_model_name_or_path", "teacher.model"},
    {"student_model", "student.model"},
    {"resume_from_checkpoint", "qad resume DIR on the command line"},
    {"output_dir", "--out DIR on the command line"},
    {"export_path", "--out DIR on the command line; export names the layouts"},
    {"export_dir", "--out DIR on the command line; export names the layouts"},
    {"export_fmt", "export: [modelopt, compressed_tensors, dense, gguf]"},
    {"quant_cfg", kRules},
    {"quant_config", kRules},
    {"quantization", kRules},
    {"qformat", kRules},
    {"quantizer", kRules},
    {"recipe", "imports: [presets/…]"},
    {"ignore", "quantize.rules with weights: none, inputs: none"},
    {"exclude_modules", "quantize.rules with weights: none, inputs: none"},
    {"targets", "quantize.rules"},
    {"kv_cache_qformat", "quantize.kv_cache"},
    {"kv_cache_quant_algo", "quantize.kv_cache"},
    {"kv_cache_dtype", "quantize.kv_cache"},
    {"kv_cache_scheme", "quantize.kv_cache"},
    {"quant_algo", kRules},
    {"calib_size", "calibrate.tokens"},
    {"num_calibration_samples", "calibrate.tokens"},
    {"num_calib_samples", "calibrate.tokens"},
    {"num_samples", "calibrate.tokens"},
    {"calib_dataset", "calibrate.source"},
    {"calibration_dataset", "calibrate.source"},
    {"calib_method", "calibrate"},
    {"kd_loss", "loss.kind"},
    {"loss_type", "loss.kind"},
    {"distill_temperature", "loss.temperature"},
    {"kd_temperature", "loss.temperature"},
    {"save_steps", "checkpoint.every"},
    {"save_every_n_steps", "checkpoint.every"},
    {"save_interval", "checkpoint.every"},
    {"save_total_limit", "checkpoint.keep"},
    {"checkpoint_freq", "checkpoint.every"},
    {"eval_steps", "evaluate.every"},
    {"eval_interval", "evaluate.every"},
    {"eval_strategy", "evaluate.every"},
    {"evaluation_strategy", "evaluate.every"},
    {"run_every_n_steps", "evaluate.every"},
    {"logging_steps", "nothing: metrics.jsonl has every step"},
    {"log_every_n_steps", "nothing: metrics.jsonl has every step"},
    {"report_to", "report.tensorboard"},
    {"data_seed", "seed"},
    {"num_workers", "threads"},
    {"dataloader_num_workers", "threads"},
    {"bf16", "teacher.compute and train.backward"},
    {"precision", "teacher.compute, train.forward and train.backward"},
    {"dtype", "teacher.weights"},
    {"torch_dtype", "teacher.weights"},
});

}  // namespace

std::string_view our_word_for(std::string_view peer_word) {
  std::string word(peer_word);
  for (char& c : word) c = c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const auto found = std::ranges::find(kWords, std::string_view(word), &Word::first);
  return found == kWords.end() ? std::string_view() : found->second;
}

std::string place_of_key(std::string_view word, std::string_view section) {
  for (const std::string& key : {fmt::format("{}.{}", section, word), std::string(word)})
    if (const std::string_view ours = our_word_for(key); !ours.empty()) return std::string(ours);
  static const std::vector<std::string> keys = [] {
    std::vector<std::string> names;
    for (const KeyDescription& key : describe_recipe())
      if (key.key.find('[') == std::string::npos) names.push_back(key.key);
    return names;
  }();
  if (std::ranges::find(keys, word) != keys.end())
    return section.empty() ? "" : fmt::format("{} at the top level", word);
  std::string found;
  const std::string ending = fmt::format(".{}", word);
  for (const std::string& key : keys) {
    if (!key.ends_with(ending)) continue;
    if (!found.empty()) return "";
    found = key;
  }
  return found;
}

std::string place_of_key(std::string_view dotted) {
  const std::size_t dot = dotted.rfind('.');
  if (dot == std::string_view::npos) return place_of_key(dotted, "");
  return place_of_key(dotted.substr(dot + 1), dotted.substr(0, dot));
}

}  // namespace qad
