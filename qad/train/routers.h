// What training does with routers besides their gradients: it leaves them as they are, or keeps the load of experts
// even.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "models/routing.h"

namespace qad {

/// Their weights become constants: no gradient is computed for them, and no optimizer moves them.
void freeze_routers(LanguageModel& model);

/// Balance without a loss for it: a choice bias goes up for experts that too few tokens go to, and down for those of
/// too many (Wang et al., 2024, https://arxiv.org/abs/2408.15664; DeepSeek-V3).
class RouterBalance {
 public:
  /// Counts the tokens of every forward that is recorded for a gradient. With a rate of 0, or where no layer has a
  /// choice bias, it does nothing. `student` must outlive it.
  RouterBalance(LanguageModel& student, double rate);
  ~RouterBalance();

  /// bias[e] += rate·sign(mean load - load[e]) in each layer, load[e] being the choices of expert e since the last
  /// call; only counts anew where not `updated`.
  void end_step(bool updated);

 private:
  struct Layer {
    ParameterPointer bias;
    std::vector<std::int64_t> load;
  };
  double rate_;
  std::vector<Layer> layers_;
  std::unique_ptr<RoutingListener> listener_;
};

}  // namespace qad
