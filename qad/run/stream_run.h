// Quantization of a model that has no room in memory: its weights come from their files part by part, become what the
// recipe says, and go into the export's files, which are those of `qad run`, byte for byte.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "qad/recipe/recipe.h"
#include "qad/report/summary.h"
#include "qad/run/run_folder.h"

namespace qad {

/// What an export takes and makes, from headers alone.
struct StreamedSizes {
  std::string format;
  std::int64_t source_bytes = 0, export_bytes = 0;
  std::int64_t parts = 0;
  std::int64_t memory_bytes = 0;  ///< at most, without what the system keeps of files
};
[[nodiscard]] std::vector<StreamedSizes> streamed_sizes(const Recipe& recipe);

/// A run of kind ptq with `stream`: its exports and its summary. Goes on where it was stopped or killed.
RunSummary stream_run(const Recipe& recipe, const RunFolder& folder, const std::string& name);

/// One export in a folder of its own. `run`: whose it is. Goes on likewise; what is whole already stays. `check_source`
/// is asked before anything is written, with a hash of the model's files: it throws for a model that it doesn't want.
[[nodiscard]] ExportSummary stream_export(const Recipe& recipe, const std::string& format,
                                          const std::filesystem::path& target, const std::string& run,
                                          const std::function<void(const std::string& source)>& check_source = {});
/// By which exports of that know each other: all that they follow from but the model's values.
[[nodiscard]] std::string stream_id(const Recipe& recipe, const std::string& format);

}  // namespace qad
