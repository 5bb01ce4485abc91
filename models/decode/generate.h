// Text from a model, token by token, with a key/value cache; many sequences at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "models/language_model.h"

namespace qad {

struct GenerateConfig {
  std::int64_t max_tokens = 256;    ///< longest sequence, prompt included; 0: as the model's context is in any case
  std::int64_t max_new_tokens = 0;  ///< longest continuation; 0: no such limit
  double temperature = 0.0;         ///< 0: greedy, the lower id on a tie
  std::int64_t top_k = 0;           ///< sample among the k likeliest; 0: all
  double top_p = 1.0;               ///< sample among the likeliest whose probabilities first reach this sum
  std::uint64_t seed = 1;
  bool stop_at_eos = true;   ///< a sequence ends after any eos token of the model's config
  std::int64_t samples = 1;  ///< continuations of each prompt; they share what the cache holds of it
  /// Sequences decoded side by side: the cache has room for so many, and one that ends makes room for the next.
  std::int64_t batch = 256;
};

struct GeneratedSequence {
  std::vector<std::int32_t> ids;  ///< the prompt and what follows it
  std::int64_t prompt_tokens = 0;
  bool ended = false;  ///< with an eos token, which is its last; else a limit cut it

  [[nodiscard]] std::span<const std::int32_t> continuation() const {
    return std::span(ids).subspan(static_cast<std::size_t>(prompt_tokens));
  }
};

struct GenerateProgress {
  std::int64_t sequences = 0;  ///< that are whole
  std::int64_t tokens = 0;     ///< new ones, of all sequences
};

/// All may be empty.
struct GenerateHooks {
  std::function<void(std::int32_t)> token_done;           ///< after each new token of the first sequence, for streaming
  std::function<void(const GenerateProgress&)> progress;  ///< after every token of the batch
};

/// Continues each prompt (at least one token each) `samples` times; the continuations of a prompt stand together.
/// Sequence i of the result draws from stream `first_sequence + i` of the seed. Neither its random numbers nor its
/// logits depend on what runs beside it: they have the same bits alone, in a batch, in any chunking of its prompt and
/// at any number of threads (unless inputs are quantized under scales that follow the data, which is all of a batch's).
[[nodiscard]] std::vector<GeneratedSequence> generate(LanguageModel& model,
                                                      const std::vector<std::vector<std::int32_t>>& prompts,
                                                      const GenerateConfig& config, std::int64_t first_sequence = 0,
                                                      const GenerateHooks& hooks = {});

}  // namespace qad
