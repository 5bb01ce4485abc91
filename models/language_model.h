// A language model: an embedding, blocks, a final norm and a head. Families build it (models/families); it can be run
// as a whole, up to the head so that head and loss can be fused, or a block at a time.
//
// Shapes: T tokens of a batch, C hidden size.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/text/batch.h"
#include "models/block.h"
#include "models/model_config.h"

namespace qad {

enum class ActivationCheckpointing : std::uint8_t { none, block };
constexpr auto enum_names(ActivationCheckpointing) {
  return std::to_array<EnumName<ActivationCheckpointing>>(
      {{ActivationCheckpointing::none, "none"}, {ActivationCheckpointing::block, "block"}});
}

/// What a model remembers of the sequences that it decodes (models/decode).
class DecodingState {
 public:
  explicit DecodingState(std::vector<Block::State> blocks) : blocks_(std::move(blocks)) {}

  [[nodiscard]] const Block::State& block(std::size_t index) const { return blocks_[index]; }
  // As those of LayerState.
  void copy(std::int64_t from, std::int64_t to, std::int64_t tokens);
  void cut(std::int64_t slot, std::int64_t tokens);
  [[nodiscard]] std::size_t bytes() const;

 private:
  std::vector<Block::State> blocks_;
};

class LanguageModel {
 public:
  struct Modules {
    ParameterPointer embedding;  ///< [vocabulary, C]
    std::vector<Block> blocks;
    ParameterPointer norm;  ///< [C]
    LinearGroup head;       ///< one member; its weight is the embedding's parameter when tied
    float norm_offset = 0;  ///< of the norm, as that of rms_norm
  };
  LanguageModel(const ModelConfig& config, Modules modules);
  LanguageModel(const LanguageModel&) = delete;
  LanguageModel& operator=(const LanguageModel&) = delete;

  [[nodiscard]] const ModelConfig& config() const { return config_; }

  /// States after the final norm, what the head reads: [T, C]. Where no tape records them, an infinity or NaN is a
  /// NotFinite that names the model and the first block with one.
  [[nodiscard]] Variable hidden_states(const TokenBatch& batch) const;
  /// The same while decoding: the tokens of the batch come after those that `state` has of their sequences (of the
  /// batch, ids and positions are read), and are remembered there.
  [[nodiscard]] Variable hidden_states(const TokenBatch& batch, const std::vector<SequencePart>& parts,
                                       const DecodingState& state) const;
  /// What multiplies with the head must go through the slots of its input and its weight.
  [[nodiscard]] LinearGroup& head() { return modules_.head; }
  /// That of the states which the head reads.
  [[nodiscard]] const Parameter& final_norm() const { return *modules_.norm; }
  [[nodiscard]] float final_norm_offset() const { return modules_.norm_offset; }

  // The same a block at a time: finish(blocks()[…](embed(batch), plan_of(batch), nullptr)).
  [[nodiscard]] static ForwardPlan plan_of(const TokenBatch& batch);
  [[nodiscard]] Variable embed(const TokenBatch& batch) const;
  [[nodiscard]] std::span<const Block> blocks() const { return modules_.blocks; }
  [[nodiscard]] Variable finish(const Variable& x_TC) const;

  /// For `slots` sequences of at most `capacity` tokens each.
  [[nodiscard]] DecodingState make_state(std::int64_t slots, std::int64_t capacity) const;

  void visit(ModuleVisitor& visitor);
  /// Every parameter once, in the order of the layers.
  [[nodiscard]] ParameterList parameters();
  /// Every group of linear layers, the head last.
  [[nodiscard]] std::vector<LinearGroup*> linear_groups();
  [[nodiscard]] std::vector<SelfAttention*> attention_layers();

  /// While recording: called in backward with i once the gradients of block i and of all that comes after it are whole,
  /// but for what the embedding shares with the head. May be empty.
  std::function<void(std::size_t block)> block_is_whole;
  ActivationCheckpointing activation_checkpointing = ActivationCheckpointing::none;
  std::string label = "the student";  ///< what errors call it; of a model from a folder, the folder

 private:
  [[nodiscard]] Variable forward(const TokenBatch& batch, const ForwardPlan& plan, const DecodingState* state) const;
  void guard(const Variable& x, const std::string& place) const;

  ModelConfig config_;
  Modules modules_;
};

/// Parameters in all, a tied one once.
[[nodiscard]] std::int64_t parameter_count(LanguageModel& model);

/// logits [T, vocabulary] without a tape: for tests, decoding and small checks, never for training. NotFinite, as
/// hidden_states.
[[nodiscard]] Tensor logits_of(LanguageModel& model, const Tensor& hidden);

}  // namespace qad
