// The kernel table that is in use while a Profiler lives (autograd/base/profile.h).
#pragma once

#include "autograd/kernels/table.h"

namespace qad::kernels {

/// The same kernels, each in a ProfileScope that knows its operations and bytes.
[[nodiscard]] KernelTable profiled(const KernelTable& table);

}  // namespace qad::kernels
