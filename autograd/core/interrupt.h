// SIGINT and SIGTERM as a flag that long loops poll: between micro-batches, calibration and evaluation batches, tensors
// of an export. Whoever sees it saves what is worth saving and returns ExitCode::interrupted.
#pragma once

namespace qad {

/// From now on the first SIGINT or SIGTERM raises the flag; the second leaves the process at once with exit code 3.
/// SIGXFSZ is ignored.
void install_stop_signals();
/// Whether a stop was asked for. Cheap enough for any loop but the innermost.
[[nodiscard]] bool stop_requested();
/// What a signal does, without one; `false` takes it back. For tests and for limits on time.
void request_stop(bool stop = true);

}  // namespace qad
