// What may fail without harm to the run that it tells of: reports for people. The first failure is a warning, told when
// the run has gone on after it, since one that fails for the same reason (a full disk) says so itself.
#pragma once

#include <functional>
#include <string>

namespace qad {

class BestEffort {
 public:
  /// An exception of `work` ends here.
  void attempt(const std::function<void()>& work);
  [[nodiscard]] bool has_failed() const { return has_failed_; }
  /// Logs the warning if there is one that nobody has heard yet.
  void tell();

 private:
  bool has_failed_ = false;
  std::string untold_;
};

}  // namespace qad
