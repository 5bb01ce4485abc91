// What a finished or interrupted run tells the user at the end.
#pragma once

#include <functional>
#include <iosfwd>

#include "autograd/base/error.h"
#include "qad/report/summary.h"
#include "qad/run/run_folder.h"

namespace qad::verbs {

/// Prints the table of results and where things lie. Throws Error where a run diverged.
void show_run(const RunFolder& folder, const RunSummary& summary, std::ostream& print);
/// Does the work of a run and shows what came out; or, where a signal stopped it, how to go on.
ExitCode show_run_of(const RunFolder& folder, const std::function<RunSummary()>& work, std::ostream& print);
/// The same for a run that begins: on all ranks, in a new folder whose lock is held and whose log is written meanwhile.
ExitCode show_new_run(const Recipe& recipe, const std::filesystem::path& out,
                      const std::function<RunSummary(const RunFolder&)>& work, std::ostream& print);

/// `work()`; with `profile`, prints afterwards where the time of its training steps went. Results are the same.
ExitCode with_profile(bool profile, std::ostream& print, const std::function<ExitCode()>& work);

}  // namespace qad::verbs
