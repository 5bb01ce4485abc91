// main() of every test program: quiet logs, then GoogleTest.
#include <gtest/gtest.h>

#include "autograd/base/log.h"

// HDF5 1.10 keeps the memory of a file whose close failed on a full disk; some tests make it fail on purpose.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:libhdf5"; }

namespace {

// What a test runs as a verb logs to a file of its folder, which goes with the test.
class NoLogLeft final : public testing::EmptyTestEventListener {
  void OnTestEnd(const testing::TestInfo& /*info*/) override { qad::log_to_file({}); }
};

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  testing::UnitTest::GetInstance()->listeners().Append(new NoLogLeft);  // which GoogleTest deletes
  qad::set_terminal_log_level(qad::LogLevel::error);
  return RUN_ALL_TESTS();
}
