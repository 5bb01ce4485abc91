// What a recurrent layer remembers of sequences: the last inputs of its convolutions, and the state of its recurrence.
#pragma once

#include <vector>

#include "models/layer.h"

namespace qad {

class RecurrentState final : public LayerState {
 public:
  /// Of each convolution the numbers that it remembers of a sequence, [taps - 1, channels]; those of the recurrence.
  RecurrentState(std::int64_t slots, const std::vector<Shape>& histories, const Shape& state);

  void copy(std::int64_t from, std::int64_t to, std::int64_t tokens) override;
  /// A sequence may be forgotten whole; a recurrence can't go back to an earlier token.
  void cut(std::int64_t slot, std::int64_t tokens) override;
  [[nodiscard]] std::size_t bytes() const override;

  std::vector<Tensor> histories;  ///< [slots, taps - 1, channels]
  Tensor states;                  ///< [slots, …]

 private:
  [[nodiscard]] std::vector<Tensor> all() const;
};

/// The histories and the states as ops take them: null where nothing is remembered.
struct Remembered {
  explicit Remembered(LayerState* state) : state_(dynamic_cast<RecurrentState*>(state)) {}
  [[nodiscard]] const Tensor* history(std::size_t convolution) const {
    return state_ != nullptr ? &state_->histories[convolution] : nullptr;
  }
  [[nodiscard]] const Tensor* states() const { return state_ != nullptr ? &state_->states : nullptr; }

 private:
  RecurrentState* state_;
};

}  // namespace qad
