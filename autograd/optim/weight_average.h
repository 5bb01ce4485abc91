// The exponential moving average of the values that an optimizer moves.
#pragma once

#include "autograd/nn/parameter.h"

namespace qad {

class WeightAverage {
 public:
  /// `decay` between 0 and 1, of the average in each update; 0: there is none, and nothing here does anything.
  WeightAverage(ParameterList parameters, double decay);

  /// From the present values.
  void start();
  /// After an update: average += (1 - decay)·(value - average).
  void add();
  /// Values and averages change places.
  void exchange();

  /// In the order of the parameters; none without an average.
  [[nodiscard]] const std::vector<Tensor>& averages() const { return averages_; }
  [[nodiscard]] const ParameterList& parameters() const { return parameters_; }

 private:
  ParameterList parameters_;
  float rest_;  ///< 1 - decay
  std::vector<Tensor> averages_;
};

/// The parameters are their averages while one of these lives.
class AveragedScope {
 public:
  explicit AveragedScope(WeightAverage& average) : average_(average) { average_.exchange(); }
  ~AveragedScope() { average_.exchange(); }
  AveragedScope(const AveragedScope&) = delete;
  AveragedScope& operator=(const AveragedScope&) = delete;

 private:
  WeightAverage& average_;
};

}  // namespace qad
