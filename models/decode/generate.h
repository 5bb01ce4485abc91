// Text from a model, token by token, with a key/value cache; many sequences at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "models/language_model.h"

namespace qad {

struct GenerateConfig {
  std::int64_t max_tokens = 256;  ///< longest sequence, prompt included
  double temperature = 0.0;       ///< 0: greedy, the lower id on a tie
  std::int64_t top_k = 0;         ///< sample among the k likeliest; 0: all
  double top_p = 1.0;             ///< sample among the likeliest whose probabilities first reach this sum
  std::uint64_t seed = 1;
  bool stop_at_eos = true;  ///< a sequence ends after any eos token of the model's config
};

/// Continues each prompt (at least one token each) and returns prompt and continuation. Sequence i draws from stream
/// `first_sequence + i` of the seed, so that it does not depend on what runs beside it. `token_done` is called after
/// each new token of sequence 0, for streaming; it may be empty.
[[nodiscard]] std::vector<std::vector<std::int32_t>> generate(LanguageModel& model,
                                                              const std::vector<std::vector<std::int32_t>>& prompts,
                                                              const GenerateConfig& config,
                                                              std::int64_t first_sequence = 0,
                                                              const std::function<void(std::int32_t)>& token_done = {});

}  // namespace qad
