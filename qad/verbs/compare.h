// `qad compare`: the arms of a `kind: compare` recipe, one after the other, on the same teacher, data and token budget.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

#include "autograd/base/error.h"

namespace qad::verbs {

struct CompareOptions {
  std::filesystem::path recipe;
  std::vector<std::string> overrides;  ///< `a.b=c`, later wins
  std::filesystem::path out;           ///< the comparison's folder: new or empty; each arm gets a run's folder in it
};

/// Writes the table with a row for each arm to `print`; otherwise as `run`.
ExitCode compare(const CompareOptions& options, std::ostream& print);

}  // namespace qad::verbs
