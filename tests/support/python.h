// Python in tests: only for real clients that read what qad wrote.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "tests/support/process.h"

namespace qad::testing {

/// `python3 ARGUMENTS…`, or the Python that QAD_PYTHON names.
Outcome run_python(const Arguments& arguments);

/// Empty when Python has these modules ("gguf, numpy"), else what it said.
std::string missing_python(const std::string& modules);

}  // namespace qad::testing

/// Skips the test without these Python modules; in CI (CI=true) that is a failure.
#define QAD_REQUIRE_PYTHON(modules)                                                             \
  if (const std::string missing = qad::testing::missing_python(modules); !missing.empty()) {    \
    const char* ci = std::getenv("CI");                                                         \
    if (ci != nullptr && std::string_view(ci) == "true") FAIL() << "Python in CI: " << missing; \
    GTEST_SKIP() << missing << ": set QAD_PYTHON";                                              \
  }                                                                                             \
  static_assert(true)
