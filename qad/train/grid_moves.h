// What moves weights to values that their quantizer can hold, beside the gradient:
//   - a pull (CAGE, Tabesh et al., 2025, https://arxiv.org/abs/2510.18784), decoupled as weight decay is:
//     w -= rate·λ·(w - Q(w)) in each update, with λ rising over the last steps;
//   - a reset of weights that oscillate (OsciReset of TetraJet-v2, 2025, https://arxiv.org/abs/2510.27527): over a
//   window
//     of steps Σ|Δw| and Σ|ΔQ(w)| are added up, and where the second is `ratio` times the first, w becomes Q(w).
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "autograd/optim/adamw.h"
#include "qad/quant/attach.h"
#include "qad/train/train_config.h"

namespace qad {

class GridMoves {
 public:
  /// Of the weights among `moved` that `quantizers` has; it must outlive this.
  GridMoves(const TrainConfig& config, const QuantizerSet& quantizers, const ParameterList& moved);

  /// Before a step (1-based) and after it; the second resets at the end of a window, and says how many weights.
  void begin_step(std::int64_t step) { step_ = step; }
  std::int64_t end_step();
  /// In a step, around the optimizer's own move of a parameter with this learning rate.
  void around(Parameter& parameter, double rate, const std::function<void()>& move);

  /// Sums of the window so far, by the names that a checkpoint has for them.
  [[nodiscard]] const std::map<std::string, Tensor>& sums() const { return sums_; }

 private:
  struct Weight {
    ParameterPointer parameter;
    std::shared_ptr<WeightQuantizer> quantizer;
    Tensor way, rounded_way;  ///< Σ|Δw| and Σ|ΔQ(w)|; undefined without a reset
  };
  [[nodiscard]] double strength() const;
  [[nodiscard]] bool in_window() const;
  [[nodiscard]] std::int64_t first_of(double begins) const;

  TrainConfig config_;
  std::vector<Weight> weights_;
  std::map<const Parameter*, std::size_t> places_;  ///< in weights_
  std::map<std::string, Tensor> sums_;
  std::int64_t step_ = 0;
};

}  // namespace qad
