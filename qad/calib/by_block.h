// Calibration a block of the model at a time: its quantizers watch the hidden states that the blocks before it give
// when these are quantized, so that what is found for a block can make up for what the others do. Of hidden states, one
// layer's are in memory, for all batches.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "models/language_model.h"
#include "qad/quant/attach.h"

namespace qad {

/// What came in one batch, [T, C], to linear layers that read the same: those of a group; of experts, those of each in
/// turn, and the tokens that were sent to it.
using SeeInput = std::function<void(std::span<const Linear> readers, const Tensor& x_TC)>;
/// Shows what the quantizers of a block watched: its layers in the order in which they run, batch after batch, nothing
/// in the block itself being quantized. May be called several times; each time the block runs again.
using ShowInputs = std::function<void(const SeeInput& see)>;
/// Finds what is left to find for these quantizers, all those of a block, whose tensor scales are found.
using FindScales = std::function<void(const QuantizerSet& quantizers, const ShowInputs& show_inputs)>;

/// Changes a block before anything is found for it, once its quantizers have watched: its groups of linear layers, all
/// of them, and its quantizers. Whether it did; they watch again then.
using PrepareBlock = std::function<bool(std::span<LinearGroup* const> groups, const QuantizerSet& quantizers,
                                        const ShowInputs& show_inputs)>;

/// Who has no room for a whole model, or is to go on where it was killed, is told of its parts in turn: 0 is the
/// embedding, then come the blocks, then what is behind them. Keeps what each gives, for every batch.
class PartsInTurn {
 public:
  PartsInTurn() = default;
  virtual ~PartsInTurn() = default;
  PartsInTurn(const PartsInTurn&) = delete;
  PartsInTurn& operator=(const PartsInTurn&) = delete;

  /// Parts before it are done, and state() is what it reads.
  [[nodiscard]] virtual std::size_t first() const = 0;
  /// The part is about to run; its values are looked at from now on, until its end, when all is found for it.
  virtual void begin(std::size_t part) = 0;
  virtual void end(std::size_t part) = 0;
  /// What the part before gave, [T, C]. While a part sets them, those of batches that it has not set stay.
  [[nodiscard]] virtual Tensor state(std::size_t batch) const = 0;
  virtual void set_state(std::size_t batch, const Tensor& x_TC) = 0;
};

/// What a part of a model computes with, of those that PartsInTurn tells of: the embedding, each block, what is
/// behind them. A head that shares the embedding's weight is of part 0.
[[nodiscard]] std::vector<Parameter*> parameters_of_part(LanguageModel& model, std::size_t part);

/// Begins anew, block after block and the head last. Scales come from calibration or from the data as their rules say,
/// or all as `all` does. After Stopped it has to begin anew.
void calibrate_by_block(LanguageModel& model, QuantizerSet& quantizers, const std::vector<TokenBatch>& batches,
                        std::optional<TensorScaleSource> all, const FindScales& find_scales,
                        const PrepareBlock& prepare = {});
/// The same in parts. The quantizers observe already; they have seen what came before the first part.
void calibrate_by_block(LanguageModel& model, QuantizerSet& quantizers, const std::vector<TokenBatch>& batches,
                        const FindScales& find_scales, const PrepareBlock& prepare, PartsInTurn& parts);
/// The quantizers watch, part after part, what the model gives when nothing is quantized: as if it ran whole.
void observe_by_block(LanguageModel& model, QuantizerSet& quantizers, const std::vector<TokenBatch>& batches,
                      PartsInTurn& parts);

}  // namespace qad
