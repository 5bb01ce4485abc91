// `--profile` as a user meets it.
#include <gtest/gtest.h>

#include "tests/support/process.h"
#include "tests/verbs/tiny_run.h"

namespace qad {
namespace {

TEST(RunProfile, IsTheLastThatRunAndResumePrint) {
  const testing::TinyRun work;
  const std::string folder = work.path("run").string();
  const testing::Environment environment = {{"OMP_WAIT_POLICY", "passive"}};
  const auto run = [&](const testing::Arguments& arguments) {
    const testing::Outcome outcome = testing::run_program(arguments, environment);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return outcome.out;
  };
  const std::string out = run({"run", work.recipe().string(), "--out", folder, "--profile"});
  const std::size_t profile = out.find("\n\nprofile of 3 steps, ");
  ASSERT_NE(profile, std::string::npos) << out;
  EXPECT_LT(out.find("KL to teacher"), profile);
  std::size_t at = profile;  // the phases of a step in their order
  for (const char* line : {"\nstep ", "\nteacher ", "\nstudent ", "\nhead and loss ", "\nbackward ", "\noptimizer ",
                           "\nall ", "\nfloor: the matrix products alone take "}) {
    at = out.find(line, at);
    ASSERT_NE(at, std::string::npos) << line << out;
  }
  for (const char* operation :
       {"gemm forward", "gemm dX", "gemm dW", "attention backward", "integer product", "interleave", "quantize",
        "decode", "expand", "rms norm", "rope", "swiglu", "AdamW", "sum of squares", "data"})
    EXPECT_NE(out.find(operation, profile), std::string::npos) << operation << out;

  const std::string complete = run({"resume", folder, "--profile"});
  EXPECT_TRUE(complete.ends_with("\n\nprofile: there was no training step\n")) << complete;
  EXPECT_EQ(run({"resume", folder}).find("profile"), std::string::npos);
}

}  // namespace
}  // namespace qad
