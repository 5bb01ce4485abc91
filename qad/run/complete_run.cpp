#include "qad/run/complete_run.h"

#include <algorithm>
#include <vector>

#include "autograd/base/error.h"
#include "autograd/base/log.h"
#include "autograd/ranks/communicator.h"
#include "qad/layouts/export_marker.h"
#include "qad/report/best_effort.h"
#include "qad/report/live_report.h"
#include "qad/run/export_student.h"
#include "qad/run/problem_answers.h"
#include "qad/run/shared_run.h"
#include "qad/run/student.h"

namespace qad {
namespace {

std::vector<std::string> missing_exports(const Recipe& recipe, const RunFolder& folder) {
  std::vector<std::string> missing;
  for (const std::string& format : recipe.export_formats)
    if (state_of_export(folder.exported(format), format) != ExportState::whole) missing.push_back(format);
  return missing;
}

void make_answers(const Recipe& recipe, const Materials& materials, const RunFolder& folder, const std::string& name) {
  const SavedStudent best =
      load_student(folder, recipe, materials.teacher.get(), CheckpointChoice::best, materials.inputs);
  static_cast<void>(student_answers(recipe, materials, *best.student.model, name, folder));
}

RunSummary completed(const Recipe& recipe, const RunFolder& folder, const std::string& name,
                     const std::function<const Materials&()>& materials) {
  RunSummary summary = read_summary(folder.summary());
  const bool usable = summary.end != enum_name(RunEnd::diverged);  // of others, nothing is exported
  const std::vector<std::string> missing = usable ? missing_exports(recipe, folder) : std::vector<std::string>();
  const bool lacks_answers = usable && recipe.evaluate.problems && !std::filesystem::exists(folder.answers());
  if (lacks_answers) {
    log_info("{}: answers.jsonl is missing and made again", name);
    make_answers(recipe, materials(), folder, name);
  }
  if (!missing.empty()) {
    for (const std::string& format : missing) log_info("{}: export/{} is not whole and made again", name, format);
    for (ExportSummary& made : export_formats(missing, recipe, materials(), folder)) {
      const auto known = std::ranges::find(summary.exports, made.format, &ExportSummary::format);
      if (known == summary.exports.end()) summary.exports.push_back(std::move(made));
      else *known = std::move(made);
    }
    write_summary(folder.summary(), summary);
  }
  if (recipe.report.tensorboard && !std::filesystem::exists(folder.events())) {
    log_info("{}: {} is missing and made from metrics.jsonl", name, kEventFile);
    BestEffort effort;
    effort.attempt([&] { bring_events_up_to_date(folder.events(), folder.metrics()); });
    effort.tell();
  }
  if (!missing.empty() || !std::filesystem::exists(folder.report())) try_to_write_report(folder.path, summary);
  return summary;
}

}  // namespace

RunSummary make_complete(const Recipe& recipe, const RunFolder& folder, const std::string& name,
                         const std::function<const Materials&()>& materials) {
  RunSummary summary;
  first_does_alone([&] { summary = completed(recipe, folder, name, materials); });
  return ranks().is_first() ? summary : read_summary(folder.summary());
}

}  // namespace qad
