// `qad plan`: what a run would take (parameters, tokens, peak memory, time a step, files), without running it. Writes
// nothing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

#include "autograd/base/error.h"

namespace qad::verbs {

struct PlanOptions {
  std::filesystem::path recipe;
  std::vector<std::string> overrides;  ///< `a.b=c`, later wins
  bool json = false;                   ///< one JSON object instead of the tables (plan_json.h)
  std::int64_t ranks = 1;              ///< of a job under mpirun: what its first rank holds and sends
};

ExitCode plan(const PlanOptions& options, std::ostream& print);

}  // namespace qad::verbs
