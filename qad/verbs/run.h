// `qad run`: what one recipe of any kind but compare says, from the model files to the exports, in a folder of its
// own.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

#include "autograd/base/error.h"

namespace qad::verbs {

struct RunOptions {
  std::filesystem::path recipe;
  std::vector<std::string> overrides;  ///< `a.b=c`, later wins
  std::filesystem::path out;           ///< the run's folder: new or empty
};

/// Writes the table of results to `print`. Returns interrupted when a signal stopped it after a checkpoint was saved.
/// Throws Error for a recipe that is wrong (usage), for a folder that holds anything, and for whatever fails on the
/// way.
ExitCode run(const RunOptions& options, std::ostream& print);

}  // namespace qad::verbs
