// What a Profiler recorded, for people: `qad run … --profile`.
#pragma once

#include <string>

#include "autograd/base/profile.h"
#include "qad/report/table.h"

namespace qad {

/// A row for each operation of a phase: ms a step, share of the steps' time, calls, GFLOP/s (of matrix products and
/// attention) and GB/s (each operand read and each result written once). Phases in the order of their happening, the
/// operations of one by their time; the last row is the sum.
[[nodiscard]] Table profile_table(const Profiler& profiler);

/// The table between two lines: how many steps it is of, and their floor, the matrix products but attention's, which
/// nothing around them can make faster.
[[nodiscard]] std::string profile_text(const Profiler& profiler);

}  // namespace qad
