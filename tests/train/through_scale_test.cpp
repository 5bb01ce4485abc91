// Training with the gradient through the scales of blocks: it learns, and gives the same bits whatever happens to it.
#include <gtest/gtest.h>

#include "tests/train/tiny_training.h"

namespace qad {
namespace {

using testing::TinyTraining;

struct ThroughScales : TinyTraining {
  explicit ThroughScales(StraightThrough weights = StraightThrough::through_scale) {
    quantize.ste = weights;
    quantize.input_ste = StraightThrough::through_scale;
  }
};

TEST(ThroughScales, TheStudentComesNearerToItsTeacher) {
  for (const StraightThrough weights : {StraightThrough::identity, StraightThrough::through_scale}) {
    ThroughScales training(weights);
    training.config.train.steps = 60;
    training.config.train.lr = 3e-4;
    training.config.evaluate.every = 0;
    training.run();
    EXPECT_LT(training.evaluations.back().figures.kl_mean, 0.85 * training.evaluations.front().figures.kl_mean);
  }
}

TEST(ThroughScales, AKilledTrainingThatIsResumedEqualsOneThatNeverWas) {
  testing::expect_killing_changes_nothing([] { return std::make_unique<ThroughScales>(); });
}

TEST(ThroughScales, RecomputedBlocksGiveTheSameBits) { testing::expect_recomputing_changes_nothing<ThroughScales>(); }

}  // namespace
}  // namespace qad
