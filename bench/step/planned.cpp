#include "bench/step/planned.h"

#include "autograd/ranks/communicator.h"
#include "qad/plan/plan_subject.h"

namespace qad::bench {

MemoryPlan planned_memory(const Workload& load, const TrainConfig& train, std::int64_t sequences,
                          std::int64_t process) {
  Recipe recipe;
  recipe.teacher.emplace().compute = train.forward;
  recipe.data.sequence_length = load.length;
  recipe.quantize = w4a4();
  recipe.train = train;
  recipe.train.steps = 1;
  PlannedText text;
  text.micro_batches = {sequences * load.length};
  text.calibration_batches = {load.tokens()};
  PlanSubject subject{recipe, load.model, 2, 0, shapes_of(load.model), {}, text};
  subject.quantizers = attach_quantizers(*subject.student, recipe.quantize);
  return plan_memory(subject, process, ranks().size());
}

}  // namespace qad::bench
