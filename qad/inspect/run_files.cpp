#include "qad/inspect/run_files.h"

#include "autograd/base/error.h"
#include "autograd/base/place.h"
#include "qad/checkpoint/checkpoint_folder.h"
#include "qad/layouts/export_marker.h"

namespace qad {

namespace fs = std::filesystem;

FileStates checkpoint_states(const RunFolder& folder, const Recipe& recipe) {
  std::vector<fs::path> files = CheckpointFolder(folder.checkpoints(), recipe.checkpoint.keep).files();
  if (const fs::path best = folder.checkpoints() / "best.h5"; fs::exists(best)) files.push_back(best);
  FileStates states;
  for (const fs::path& file : files) {
    std::string state = "whole";
    try {
      static_cast<void>(load_checkpoint(file));
    } catch (const Error& error) {
      if (place_at(file) == Place::nothing) continue;  // the run goes on and has removed it
      state = "damaged";
      if (states.damage.empty()) states.damage = error.what();
    }
    std::error_code gone;
    const auto bytes = fs::file_size(file, gone);
    if (!gone)
      states.files.push_back({file.lexically_relative(folder.path).string(), file.string(),
                              static_cast<std::int64_t>(bytes), std::move(state)});
  }
  return states;
}

FileStates export_states(const RunFolder& folder, const RunSummary& summary) {
  FileStates states;
  for (const ExportSummary& exported : summary.exports) {
    const fs::path place = folder.path / exported.folder;
    std::string state = "whole";
    try {
      if (state_of_export(place, exported.format) != ExportState::whole) state = "not whole";
    } catch (const Error& error) {
      state = "damaged";
      if (states.damage.empty()) states.damage = error.what();
    }
    states.files.push_back({exported.format, place.string(), exported.bytes, std::move(state)});
  }
  return states;
}

}  // namespace qad
