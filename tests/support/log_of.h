// What an action says in the log.
#pragma once

#include <functional>
#include <string>

#include "autograd/base/atomic_file.h"
#include "autograd/base/log.h"
#include "tests/support/paths.h"

namespace qad::testing {

inline std::string log_of(const std::function<void()>& action) {
  const TemporaryFolder folder;
  log_to_file(folder / "log.txt");
  action();
  log_to_file({});
  return std::filesystem::exists(folder / "log.txt") ? read_file(folder / "log.txt", "the log") : "";
}

}  // namespace qad::testing
