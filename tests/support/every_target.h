// Runs a test with each instruction set that SIMD files are compiled for. A test that includes it first includes
// autograd/kernels/simd_targets.h, or defines what those files define.
#pragma once

#include <gtest/gtest.h>
#include <hwy/targets.h>

namespace qad::testing {

/// Runs `body` with each instruction set that this CPU and this build have.
template <class Body>
void for_each_target(Body&& body) {
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(target);
    body();
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().DeInit();
}

}  // namespace qad::testing
