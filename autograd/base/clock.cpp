#include "autograd/base/clock.h"

#include <chrono>

namespace qad {

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace qad
