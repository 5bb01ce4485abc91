// One recipe as a run that nothing stops, and as one that is stopped on its way and goes on.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <initializer_list>

#include "autograd/base/interrupt.h"
#include "qad/report/summary.h"
#include "qad/run/run_one.h"

namespace qad::testing {

inline RunSummary run_until(const Recipe& recipe, const std::filesystem::path& path,
                            const std::function<bool()>& stop) {
  const RunFolder folder = std::filesystem::exists(path) ? RunFolder{path} : create_run_folder(path, recipe);
  const Materials materials = load_materials(recipe, folder);
  const StopQuestion question(stop);
  return run_one(recipe, materials, folder, path.filename().string());
}

/// The run in `parts` is stopped after each of these shares of how often the one in `whole`, whose summary this is,
/// asks whether to stop: once anew each time, so they are shares of what is left. At last it comes to its end.
inline RunSummary run_whole_and_in_parts(const Recipe& recipe, const std::filesystem::path& whole,
                                         const std::filesystem::path& parts, std::initializer_list<int> percents) {
  int polls = 0, stops = 0;
  RunSummary summary = run_until(recipe, whole, [&] { return ++polls, false; });
  for (const int percent : percents) {
    int until = polls * percent / 100;
    try {
      static_cast<void>(run_until(recipe, parts, [&] { return --until < 0; }));
    } catch (const Stopped&) {
      ++stops;
    }
  }
  EXPECT_GT(stops, 1);
  static_cast<void>(run_until(recipe, parts, {}));
  return summary;
}

}  // namespace qad::testing
