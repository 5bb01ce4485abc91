#include "autograd/core/dry_run.h"

#include "autograd/base/error.h"
#include "autograd/core/storage.h"

namespace qad {

DryRun::DryRun() {
  QAD_ASSERT(!loops_are_dry());
  detail::set_loops_dry(true);
}

DryRun::~DryRun() {
  detail::set_loops_dry(false);
  detail::forget_dry_storage();
}

std::size_t DryRun::held_bytes() const { return detail::dry_storage().held_bytes; }
std::size_t DryRun::touched_bytes() const { return detail::dry_storage().touched_bytes; }

}  // namespace qad
