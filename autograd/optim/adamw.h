// AdamW over FP32 master weights, with global-norm clipping. Where several ranks work on a run, each moves the values
// that it owns, keeps the moments of no others (slices.h), and gets the others' values.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "autograd/base/fields.h"
#include "autograd/core/precision.h"
#include "autograd/kernels/adamw.h"
#include "autograd/nn/parameter.h"
#include "autograd/optim/slices.h"

namespace qad {

enum class MomentsIn : std::uint8_t { memory, file };
inline constexpr auto enum_names(MomentsIn) {
  return std::to_array<EnumName<MomentsIn>>({{MomentsIn::memory, "memory"}, {MomentsIn::file, "file"}});
}

struct AdamWConfig {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  double weight_decay = 0.0;
  Precision moments = Precision::fp32;
  MomentsIn moments_in = MomentsIn::memory;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"beta1", "decay of the gradient's running mean"}.at_least(0).below(1), beta1);
    visit(Field{"beta2", "decay of the squared gradient's running mean"}.at_least(0).below(1), beta2);
    visit(Field{"epsilon", "added to the root of the second moment"}.above(0), epsilon);
    visit(Field{"weight_decay", "decoupled weight decay of matrices (norms and biases have none)"}.at_least(0),
          weight_decay);
    visit(Field{"moments",
                "in which numbers both running means are kept; bf16: rounded by chance, so that small steps are not "
                "lost, in half of the memory and of checkpoints' room"},
          moments);
    visit(Field{"moments_in",
                "where they are while a run trains: memory, or a file without a name in its folder, of which one "
                "parameter's at a time is in memory; the last resort, since each step reads and writes all of it"}
              .changeable(),
          moments_in);
  }
};

[[nodiscard]] inline DType type_of_moments(const AdamWConfig& config) {
  return config.moments == Precision::bf16 ? DType::bf16 : DType::f32;
}

/// Of one parameter.
struct AdamWOptions {
  double lr_factor = 1;  ///< times the learning rate of a step
  double weight_decay = 0;
  std::int64_t waits = 0;  ///< updates that leave it as it is, before its first
};

/// Euclidean norm over the gradients of all parameters; a parameter without a gradient counts as zero.
[[nodiscard]] double gradient_norm(const ParameterList& parameters);
void clear_gradients(const ParameterList& parameters);
/// Of each parameter, undefined where there is none; there are none afterwards.
[[nodiscard]] std::vector<Tensor> take_gradients(const ParameterList& parameters);

class AdamW {
 public:
  /// The weight decay is that of those which decay().
  AdamW(const AdamWConfig& config, ParameterList parameters);
  /// `options`: one each, which say the weight decay. `seed`: of the chance by which BF16 moments are rounded.
  /// `folder`: on whose disk moments are if they are in a file; without the room it is an Error.
  AdamW(const AdamWConfig& config, ParameterList parameters, std::vector<AdamWOptions> options, std::uint64_t seed = 0,
        const std::filesystem::path& folder = ".");

  /// One update with this rank's slices of the gradients (GradientTree::finish), multiplied by `gradient_scale`. A
  /// parameter without a gradient, such as an expert that no token went to, stays as it is, moments and all: nothing
  /// decays. Called by all ranks together.
  void step(double learning_rate, double gradient_scale, const std::vector<Tensor>& gradients);
  /// The same where there is one rank, with the parameters' own gradients, which are cleared.
  void step(double learning_rate, double gradient_scale) {
    step(learning_rate, gradient_scale, take_gradients(parameters_));
  }

  /// Called in step() for each parameter that it is about to move, with that one's own learning rate; calls `move`.
  using AroundMove = std::function<void(Parameter& parameter, double rate, const std::function<void()>& move)>;
  void set_around_move(AroundMove around) { around_move_ = std::move(around); }

  /// Clears the gradients of those that the next update leaves as they are.
  void clear_waiting();

  /// First and second moments in the order of the parameters, and the number of updates: all there is to save.
  struct State {
    Tensor first, second;
  };
  /// Of this rank's slices.
  [[nodiscard]] const std::vector<State>& states() const { return states_; }
  /// Of all values, in the parameters' shapes, for the first rank; others get none. Called by all together.
  [[nodiscard]] std::vector<State> whole_states() const;
  /// Takes this rank's slice of moments in the parameter's shape.
  void set_state(std::size_t parameter, const State& whole);
  [[nodiscard]] std::int64_t updates() const { return updates_; }
  void set_updates(std::int64_t updates) { updates_ = updates; }
  [[nodiscard]] const ParameterList& parameters() const { return parameters_; }
  [[nodiscard]] DType moments_type() const { return type_of_moments(config_); }

 private:
  void make_states(const std::filesystem::path& folder);
  void move_values(std::size_t parameter, const kernels::AdamWUpdate& update, const Tensor& gradient);

  AdamWConfig config_;
  ParameterList parameters_;
  std::vector<AdamWOptions> options_;
  std::uint64_t seed_;
  std::vector<Slice> slices_;
  std::vector<State> states_;
  AroundMove around_move_;
  std::int64_t updates_ = 0;
};

}  // namespace qad
