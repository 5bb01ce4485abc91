#include "qad/plan/plan_run.h"

#include <algorithm>
#include <filesystem>
#include <new>
#include <utility>

#include "autograd/base/error.h"
#include "autograd/core/storage.h"
#include "qad/layouts/registry.h"
#include "qad/recipe/recipe.h"

namespace qad {
namespace {

std::string part_of(const std::string& parameter) {
  if (parameter.ends_with(".bias") || parameter.ends_with("norm.weight")) return "norms and biases";
  if (parameter.starts_with("lm_head")) return "head";
  if (parameter.find(".self_attn.") != std::string::npos) return "attention";
  if (parameter.find(".mlp.") != std::string::npos) return "feed-forward";
  return "embedding";
}

double run_seconds(const PlanSubject& subject, const TimePlan& time) {
  const std::int64_t steps = subject.trains() ? subject.recipe.train.steps : 0;
  const std::int64_t every = subject.recipe.evaluate.every;
  std::int64_t evaluations = 1 + static_cast<std::int64_t>(subject.recipe.export_formats.size());
  if (steps > 0) evaluations += every > 0 ? (steps + every - 1) / every : 1;
  return time.search_seconds + time.calibration_seconds + static_cast<double>(steps) * time.step().seconds +
         static_cast<double>(evaluations) * time.evaluation_seconds;
}

// Sizes that no file stands behind may be any.
template <class Work>
auto within_memory(const PlanSubject& subject, const Work& work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    const std::filesystem::path folder = start_folder(subject.recipe);
    throw Error({.who = folder.empty() ? "model" : (folder / "config.json").string(),
                 .expected = "layers of a size that a plan can go through",
                 .got = "larger ones",
                 .hint = "is a size a slip?"});
  }
}

}  // namespace

std::int64_t RunPlan::bytes_sent_per_step() const {
  if (ranks == 1 || steps() == 0) return 0;
  return 2 * memory.student / ranks * (ranks - 1);
}

RunPlan plan_run(PlanSubject subject, std::int64_t ranks) {
  // Timing comes first: what BLAS and kernels keep for themselves is then part of this process, as in a run.
  const TimePlan time = within_memory(subject, [&] { return plan_time(subject); });
  release_cached_storage();
  const MemoryPlan memory = within_memory(subject, [&] { return plan_memory(subject, resident_bytes_now(), ranks); });
  const double seconds = run_seconds(subject, time);
  return {std::move(subject), time, memory, seconds, ranks};
}

ArmPlan arm_plan(const Arm& arm, const RunPlan& one) {
  ArmPlan plan{arm.name, std::string(enum_name(arm.kind))};
  plan.runs = static_cast<std::int64_t>(arm.candidates.size() * arm.candidates.front().size());
  plan.steps = one.steps();
  plan.tokens = static_cast<double>(plan.steps) * tokens_per_step(one.subject);
  plan.seconds_per_step = plan.steps > 0 ? one.time.step().seconds : 0;
  plan.peak_bytes = one.memory.total();
  plan.seconds = static_cast<double>(plan.runs) * one.seconds;
  return plan;
}

PlannedFiles planned_files(const PlanSubject& subject) {
  const std::int64_t parameters = parameter_count(*subject.student);
  PlannedFiles files;
  files.checkpoints = subject.trains() ? std::min(subject.recipe.checkpoint.keep, subject.recipe.train.steps + 1) : 1;
  const AdamWConfig& adamw = subject.recipe.train.adamw;
  const std::int64_t moments = 2 * static_cast<std::int64_t>(bytes_of(type_of_moments(adamw))) * parameters;
  files.checkpoint_bytes = 4 * parameters + moments;
  if (subject.trains() && adamw.moments_in == MomentsIn::file) files.moments_bytes = moments;
  files.best_bytes = 4 * parameters;
  const double packed = bits_per_weight(*subject.student, subject.quantizers) * static_cast<double>(parameters) / 8;
  for (const std::string& format : subject.recipe.export_formats)
    files.exports.push_back(
        {format, exporter(format).stores_codes ? static_cast<std::int64_t>(packed) : 2 * parameters});
  return files;
}

std::map<std::string, std::int64_t> parameters_by_part(const PlanSubject& subject) {
  std::map<std::string, std::int64_t> parts;
  for (const ParameterPointer& parameter : subject.student->parameters())
    parts[part_of(parameter->name)] += parameter->shape().size();
  return parts;
}

}  // namespace qad
