// A student's folder in one of the layouts: packed, written beside its place, read back, compared with the student bit
// for bit, and only then put in place.
#pragma once

#include <cstdint>
#include <filesystem>

#include "qad/exporters/exporter.h"

namespace qad {

/// What Hugging Face's tools use.
inline constexpr std::uint64_t kDefaultShardBytes = 5'000'000'000;

/// Throws, naming the layer, if no layout can hold the student: fused layers that do not share their scales, that are
/// quantized in part, or a quantized input before a plain weight.
void check_exportable(const ExportModel& student);

/// Writes `folder` with weights (safetensors in shards of at most `shard_bytes` where they are larger), config.json,
/// the files that the layout adds, and the tokenizer's and generation's files of the folders `side_files` (a later
/// one's win). An earlier export at `folder` (it has a qad_export.json) stays until the new one is whole and verified;
/// a folder with anything else in it is refused. Stopped leaves nothing behind.
void write_export(const std::filesystem::path& folder, const Exporter& exporter, const ExportModel& student,
                  const std::vector<std::filesystem::path>& side_files, std::uint64_t shard_bytes = kDefaultShardBytes);

}  // namespace qad
