// The training steps that are measured: shapes, and all that a step of W4A4 QAD needs, made in memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "models/language_model.h"
#include "qad/loss/loss_config.h"
#include "qad/quant/attach.h"
#include "qad/train/train_config.h"

namespace qad::bench {

struct Workload {
  std::string name;
  ModelConfig model;
  std::int64_t batch = 0, length = 0;  ///< sequences a step, tokens of each
  /// For a machine that has little more room than weights, gradients and moments need.
  bool is_large = false;

  [[nodiscard]] std::int64_t tokens() const { return batch * length; }
};

/// P (the size of the teacher in recipes/paper), S, M, V, L or D (for decoding); V and L have Qwen3's layers, and all
/// of these have a tied head. With experts or recurrences, about 30M parameters each: N as Nemotron 3 Nano, K as Kimi
/// Linear, E as Qwen3-MoE. R: Mamba-2 alone, one sequence. X: 6 of 128 experts, Xdense without experts and with as much
/// to multiply. XL: a Llama of 1.08 billion parameters, a sequence at a time, its blocks computed again in backward,
/// its teacher a mapped file. An Error (usage) names those known.
[[nodiscard]] Workload workload(const std::string& name);

/// A frozen BF16 teacher with random weights and its calibrated student.
struct Models {
  std::unique_ptr<LanguageModel> teacher, student;
  QuantizerSet quantizers;  ///< empty for a student that stays in FP32
};

/// Weights and inputs of every linear layer but the head.
[[nodiscard]] QuantizeConfig w4a4();

/// `batches` of random tokens, one segment a sequence, every token counted.
[[nodiscard]] std::vector<TokenBatch> random_batches(const Workload& workload, std::int64_t count);
/// Calibrated on the first batch.
[[nodiscard]] Models make_models(const Workload& workload, bool quantized, const std::vector<TokenBatch>& batches);

/// The step's hyperparameters: AdamW and clipping as in a run by default, at a constant rate.
[[nodiscard]] TrainConfig train_config(const Workload& workload);

/// Writes what another implementation needs for the same steps: DIR/teacher (Hugging Face folder), DIR/tokens.h5 (`ids`
/// of all batches end to end) and DIR/step.json (sizes, hyperparameters, tensor scales by layer).
void dump(const std::filesystem::path& folder, const Workload& workload, const Models& models,
          const std::vector<TokenBatch>& batches);

}  // namespace qad::bench
