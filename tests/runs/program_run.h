// Runs of the real program on the story model, and what they leave.
#pragma once

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>

#include "qad/checkpoint/checkpoint_folder.h"
#include "tests/support/paths.h"
#include "tests/support/process.h"

namespace qad::testing {

/// Where the data is; and threads that sleep when they have nothing to do, since tests run beside each other.
inline Environment run_environment() {
  return {{"QAD_SHARED_DATA", shared_data().string()}, {"OMP_WAIT_POLICY", "passive"}};
}

/// `qad VERB tests/runs/RECIPE MORE… --out FOLDER`.
inline Arguments run_of(const std::string& recipe, const std::filesystem::path& folder, const Arguments& more = {}) {
  Arguments arguments = {"run", (source_dir() / "tests" / "runs" / recipe).string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  arguments.insert(arguments.end(), {"--out", folder.string()});
  return arguments;
}

/// Whole lines of a file that another process writes; 0 while there is none.
inline std::int64_t lines_in(const std::filesystem::path& file) {
  std::ifstream in(file);
  return std::count(std::istreambuf_iterator<char>(in), {}, '\n');
}

/// Whether a checkpoint is being written, or was when its process was killed.
inline bool has_half_written(const std::filesystem::path& run) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(run / "checkpoints", ignored))
    if (entry.path().filename().string().find(".tmp.") != std::string::npos) return true;
  return false;
}

inline void expect_done(const Outcome& outcome) {
  EXPECT_EQ(outcome.exit_code, 0) << "signal " << outcome.signal << "\n" << outcome.out << outcome.err;
}

/// A finished run that others are compared with, made once in a test program.
inline const std::filesystem::path& undisturbed_run() {
  static const TemporaryFolder folder;
  static const std::filesystem::path run = [] {
    const std::filesystem::path path = folder / "undisturbed";
    expect_done(run_program(run_of("small.yaml", path, {"--threads", "1"}), run_environment()));
    return path;
  }();
  return run;
}

}  // namespace qad::testing
