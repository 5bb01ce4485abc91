// A small model whose layers differ in what they do, and text of several segments for it.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/small_model.h"

namespace qad::testing {

inline ModelConfig lively_config() {
  ModelConfig config = small_config();
  config.initializer_range = 0.2;
  config.num_hidden_layers = 4;
  config.rms_norm_eps = 1e-12;
  return config;
}

// Segments of 5, 1 and 6 tokens.
inline TokenBatch batch_of_three(std::int32_t shift = 0) {
  TokenBatch batch = small_batch();
  for (std::int32_t& id : batch.ids) id = (id + shift) % 64;
  batch.segments = {{0, 5}, {5, 6}, {6, 12}};
  batch.document = {0, 1, 2};
  for (const Segment& segment : batch.segments)
    for (std::int32_t t = segment.begin; t < segment.end; ++t)
      batch.positions[static_cast<std::size_t>(t)] = t - segment.begin;
  return batch;
}

inline std::vector<TokenBatch> two_batches() { return {batch_of_three(), batch_of_three(11)}; }

inline Parameter& named(LanguageModel& model, const std::string& name) {
  for (const ParameterPointer& parameter : model.parameters())
    if (parameter->name == name) return *parameter;
  throw std::out_of_range(name);
}

}  // namespace qad::testing
