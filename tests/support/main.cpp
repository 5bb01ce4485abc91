// main() of every test program: quiet logs, then GoogleTest.
#include <gtest/gtest.h>

#include "autograd/core/log.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  qad::set_terminal_log_level(qad::LogLevel::error);
  return RUN_ALL_TESTS();
}
