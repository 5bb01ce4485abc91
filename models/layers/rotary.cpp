#include "models/layers/rotary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <string>

#include "autograd/base/error.h"

namespace qad {
namespace {

// Long waves are stretched whole, short ones stay, and between them it blends.
double llama3_frequency(const RopeScaling& scaling, double frequency) {
  const double wavelength = 2.0 * std::numbers::pi / frequency;
  const auto original = static_cast<double>(scaling.original_max_position_embeddings);
  const double blend =
      (original / wavelength - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor);
  if (wavelength > original / scaling.low_freq_factor) return frequency / scaling.factor;
  if (wavelength < original / scaling.high_freq_factor) return frequency;
  return (1.0 - blend) * frequency / scaling.factor + blend * frequency;
}

// A ramp over the pairs, from those that turn beta_fast times in the original context to those that turn beta_slow
// times. The pair is found by its place among all head_dim numbers and bounded by their count, as in the authors' code.
double yarn_frequency(const ModelConfig& config, std::int64_t i, double frequency) {
  const RopeScaling& scaling = config.rope_scaling;
  const auto width = static_cast<double>(config.rotary_width());
  const auto original = static_cast<double>(scaling.original_max_position_embeddings);
  const auto pair_that_turns = [&](double times) {
    return width * std::log(original / (times * 2.0 * std::numbers::pi)) / (2.0 * std::log(config.rope_theta));
  };
  double low = pair_that_turns(scaling.beta_fast), high = pair_that_turns(scaling.beta_slow);
  if (scaling.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, width - 1.0);
  if (low == high) high += 0.001;
  const double stretched = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
  return frequency / scaling.factor * stretched + frequency * (1.0 - stretched);
}

}  // namespace

double rotary_frequency(const ModelConfig& config, std::int64_t i) {
  const std::int64_t half = config.rotary_width() / 2;
  const double frequency = std::pow(config.rope_theta, -static_cast<double>(i) / static_cast<double>(half));
  switch (config.rope_scaling.rope_type) {
    case RopeScalingKind::none:
    case RopeScalingKind::dynamic: return frequency;
    case RopeScalingKind::linear: return frequency / config.rope_scaling.factor;
    case RopeScalingKind::yarn: return yarn_frequency(config, i, frequency);
    case RopeScalingKind::llama3: return llama3_frequency(config.rope_scaling, frequency);
  }
  return frequency;
}

double rotary_magnitude(const RopeScaling& scaling) {
  if (scaling.rope_type != RopeScalingKind::yarn) return 1.0;
  return scaling.attention_factor > 0 ? scaling.attention_factor : 0.1 * std::log(scaling.factor) + 1.0;
}

std::int64_t rotary_positions(const ModelConfig& config) {
  return config.rope_scaling.rope_type == RopeScalingKind::dynamic ? config.max_position_embeddings
                                                                   : std::numeric_limits<std::int32_t>::max();
}

RotaryTable rotary_table(const ModelConfig& config, std::int64_t positions) {
  const std::int64_t half = config.rotary_width() / 2;
  const double magnitude = rotary_magnitude(config.rope_scaling);
  const RotaryTable table{Tensor({positions, half}), Tensor({positions, half})};
  for (std::int64_t i = 0; i < half; ++i) {
    const double frequency = rotary_frequency(config, i);
    for (std::int64_t p = 0; p < positions; ++p) {
      const double angle = static_cast<double>(p) * frequency;
      table.cosines.data()[p * half + i] = static_cast<float>(magnitude * std::cos(angle));
      table.sines.data()[p * half + i] = static_cast<float>(magnitude * std::sin(angle));
    }
  }
  return table;
}

const RotaryTable& Rotary::up_to(std::int64_t positions) {
  if (const std::int64_t most = rotary_positions(config_); positions > most)
    throw Error({.who = "rope_scaling dynamic",
                 .expected = fmt::format("sequences of at most {} tokens", most),
                 .got = std::to_string(positions),
                 .hint = "beyond max_position_embeddings its frequencies depend on what was read before"});
  const std::int64_t have = table_.cosines.defined() ? table_.cosines.rows() : 0;
  if (positions > have) table_ = rotary_table(config_, std::max({positions, 2 * have, std::int64_t{256}}));
  return table_;
}

}  // namespace qad
