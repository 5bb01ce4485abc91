// h5py, which this project did not write, opens a checkpoint and finds in it what README.md says.
#include "qad/checkpoint/checkpoint.h"

#include <gtest/gtest.h>

#include "tests/support/paths.h"
#include "tests/support/python.h"

namespace qad {
namespace {

TEST(H5py, OpensACheckpoint) {
  QAD_REQUIRE_PYTHON("h5py, numpy");
  const testing::TemporaryFolder folder;
  CheckpointContent content;
  content.tensors["model/w"] = Tensor::from(std::vector<float>{1, 2, 3, 4, 5, 6.5f}, {2, 3});
  content.texts["recipe"] = "kind: qad";
  content.numbers["step"] = std::int64_t{400};
  save_checkpoint(folder / "a.h5", content);
  const testing::Outcome outcome = testing::run_python({"-c", R"(
import h5py, json, sys
f = h5py.File(sys.argv[1])
w = f['tensors/model/w']
assert w.shape == (2, 3) and w[1, 2] == 6.5
assert bytes(f['texts/recipe'][:]) == b'kind: qad' and f['numbers/step'][0] == 400
assert json.loads(bytes(f['manifest'][:]))['numbers'] == {'step': 400})",
                                                        folder / "a.h5"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
}

}  // namespace
}  // namespace qad
