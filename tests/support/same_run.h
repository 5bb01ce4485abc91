// Whether two runs came out the same, bit for bit, in all that a run leaves but timings and what the machine gives.
#pragma once

#include <filesystem>
#include <string>

#include "qad/checkpoint/checkpoint.h"

namespace qad::testing {

/// Tensors and numbers by their bits, but wall times.
void expect_same_checkpoint(const CheckpointContent& a, const CheckpointContent& b);
/// The newest checkpoint and best.h5 of two `checkpoints` folders.
void expect_same_checkpoints(const std::filesystem::path& a, const std::filesystem::path& b);
/// The text of metrics.jsonl without tokens_per_second.
std::string metrics_but_timings(const std::filesystem::path& file);
/// The text of summary.json without seconds and peak memory.
std::string summary_but_timings(const std::filesystem::path& file);
/// All of that, for two run folders.
void expect_same_run(const std::filesystem::path& a, const std::filesystem::path& b);

}  // namespace qad::testing
