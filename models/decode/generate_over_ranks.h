// generate(), its prompts divided over the ranks of a job.
#pragma once

#include "models/decode/generate.h"

namespace qad {

/// As generate(), and with the same result on every rank, bit for bit. Called by all together; hooks see what this rank
/// writes.
[[nodiscard]] std::vector<GeneratedSequence> generate_over_ranks(LanguageModel& model,
                                                                 const std::vector<std::vector<std::int32_t>>& prompts,
                                                                 const GenerateConfig& config,
                                                                 std::int64_t first_sequence = 0,
                                                                 const GenerateHooks& hooks = {});

}  // namespace qad
