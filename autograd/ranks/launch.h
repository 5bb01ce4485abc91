// How this process finds out whether it is one of several ranks, and how a job of several ranks ends: together, with
// one message and one exit code.
#pragma once

#include <string>

#include "autograd/base/error.h"

namespace qad {

/// Joins the job that mpirun or srun started, if one did; ranks() are its ranks from then on. All but the first fall
/// silent: what they write to standard output and error goes nowhere. To be called once, by the thread that works,
/// after install_stop_signals(). From then on a stop is what all ranks have agreed on (agree_on_stop). Throws Error
/// where the environment speaks of several ranks and they can't find each other: in a program without MPI, say.
void start_ranks();

/// Whether a signal has come to any of the ranks; from then on throw_if_stopped() throws on all of them. Called by all
/// together, at places that each of them reaches. Alone it does nothing.
void agree_on_stop();

/// The end of this rank: its exit code, and what it has to say of a failure (empty: nothing). Where all ranks come to
/// an end, the lowest that failed says why, and its exit code is that of all. Where others don't within seconds of a
/// failure, they are ended. Returns the code to exit with.
[[nodiscard]] ExitCode end_ranks(ExitCode code, const std::string& message);

}  // namespace qad
