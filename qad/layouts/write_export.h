// A student's folder in one of the layouts: packed, written to a hidden folder, read back, compared with the student
// bit for bit, and only then put in place.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "autograd/base/output_folder.h"
#include "qad/layouts/exporter.h"

namespace qad {

/// What Hugging Face's tools use.
inline constexpr std::uint64_t kDefaultShardBytes = 5'000'000'000;

/// Decides where an export may be written, before the work: a new or empty folder, or one with an earlier export of the
/// same `run`, which stays until the new one is whole and verified. Throws as OutputFolder does.
[[nodiscard]] OutputFolder export_folder(const std::filesystem::path& folder, const std::string& run);

struct ExportExtras {
  std::string run;                                ///< whose export it is; goes into qad_export.json
  std::vector<std::filesystem::path> side_files;  ///< model folders; a later one's files win
  std::uint64_t shard_bytes = kDefaultShardBytes;
  std::function<void(const std::filesystem::path& folder)> add_files;  ///< writes others; may be empty
};

/// Writes weights (safetensors in shards of at most `shard_bytes` where they are larger), config.json, the files that
/// the layout adds, what goes along of the folders `side_files` (copy_side_files), and qad_export.json with a hash of
/// each; puts them in place once they are verified. Stopped leaves nothing behind.
void write_export(OutputFolder& out, const Exporter& exporter, const ExportModel& student, const ExportExtras& extras);
/// The same to a place that is decided now, of no run.
void write_export(const std::filesystem::path& folder, const Exporter& exporter, const ExportModel& student,
                  const std::vector<std::filesystem::path>& side_files, std::uint64_t shard_bytes = kDefaultShardBytes);

}  // namespace qad
