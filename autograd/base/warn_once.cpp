#include "autograd/base/warn_once.h"

#include <mutex>
#include <set>

#include "autograd/base/log.h"

namespace qad {

void warn_once(const std::string& text) {
  static std::mutex mutex;
  static std::set<std::string> said;
  const std::lock_guard lock(mutex);
  if (said.insert(text).second) log_warning("{}", text);
}

}  // namespace qad
