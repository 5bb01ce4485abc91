#include "qad/report/best_effort.h"

#include <exception>
#include <utility>

#include "autograd/base/log.h"

namespace qad {

void BestEffort::attempt(const std::function<void()>& work) {
  try {
    work();
  } catch (const std::exception& error) {
    if (!has_failed_) untold_ = error.what();
    has_failed_ = true;
  }
}

void BestEffort::tell() {
  if (untold_.empty()) return;
  log_warning("{}; the run goes on without it", std::exchange(untold_, {}));
}

}  // namespace qad
