// The files of a run's folder, each read whole to see whether it still is.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "qad/recipe/recipe.h"
#include "qad/report/summary.h"
#include "qad/run/run_folder.h"

namespace qad {

struct FileState {
  std::string name;  ///< of a checkpoint its path in the folder, of an export its format
  std::string path;  ///< where it is
  std::int64_t bytes = 0;
  std::string state;  ///< whole | not whole | damaged
};

struct FileStates {
  std::vector<FileState> files;
  std::string damage;  ///< what is wrong with the first damaged one; empty if none is
};

[[nodiscard]] FileStates checkpoint_states(const RunFolder& folder, const Recipe& recipe);
/// "not whole": qad resume makes it again.
[[nodiscard]] FileStates export_states(const RunFolder& folder, const RunSummary& summary);

}  // namespace qad
