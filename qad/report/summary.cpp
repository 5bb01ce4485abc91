#include "qad/report/summary.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "autograd/base/atomic_file.h"
#include "autograd/base/error.h"
#include "data/files/json_file.h"
#include "qad/report/figures_json.h"
#include "qad/report/machine.h"
#include "qad/report/problem_json.h"

namespace qad {
namespace {

using Json = nlohmann::ordered_json;

// JSON from the field lists of the summary's parts and back. A field that was not measured or is empty is left out.
template <class Part>
Json json_of_part(const Part& part);
template <class Part>
void read_part(const Json& json, Part& part);

struct Writer {
  Json& json;

  void operator()(const char* name, const std::string& value) const {
    if (!value.empty()) json[name] = value;
  }
  void operator()(const char* name, std::int64_t value) const { json[name] = value; }
  void operator()(const char* name, double value) const {
    if (!std::isnan(value)) json[name] = value;
  }
  void operator()(const char* name, const EvalFigures& value) const {
    if (value.measured()) json[name] = json_of(value);
  }
  void operator()(const char* name, const ProblemResults& value) const {
    if (value.measured()) json[name] = json_of(value);
  }
  void operator()(const char* name, const std::vector<std::string>& value) const {
    if (!value.empty()) json[name] = value;
  }
  template <class Part>
  void operator()(const char* name, const std::vector<Part>& parts) const {
    for (const Part& part : parts) json[name].push_back(json_of_part(part));
  }
};

struct Reader {
  const Json& json;

  void operator()(const char* name, std::string& value) const { value = json.value(name, std::string()); }
  void operator()(const char* name, std::int64_t& value) const { value = json.value(name, std::int64_t{0}); }
  void operator()(const char* name, double& value) const { value = number_or_nan(json, name); }
  void operator()(const char* name, EvalFigures& value) const { read_figures(json.value(name, Json::object()), value); }
  void operator()(const char* name, ProblemResults& value) const {
    value = problem_results_of(json.value(name, Json::object()));
  }
  void operator()(const char* name, std::vector<std::string>& value) const {
    value = json.value(name, std::vector<std::string>());
  }
  template <class Part>
  void operator()(const char* name, std::vector<Part>& parts) const {
    for (const Json& part : json.value(name, Json::array())) read_part(part, parts.emplace_back());
  }
};

template <class Part>
Json json_of_part(const Part& part) {
  Json json = Json::object();
  visit_fields(part, Writer{json});
  return json;
}

template <class Part>
void read_part(const Json& json, Part& part) {
  visit_fields(part, Reader{json});
}

// Standard errors over documents are averaged as well; what differs between seeds is not in them.
EvalFigures mean_eval(const std::vector<RunSummary>& runs, EvalFigures RunSummary::*figures) {
  std::vector<double> sums;
  for (const RunSummary& run : runs) {
    std::size_t i = 0;
    visit_fields(run.*figures, [&](const char*, auto value) {
      if (i == sums.size()) sums.push_back(0.0);
      sums[i++] += static_cast<double>(value);
    });
  }
  EvalFigures mean;
  std::size_t i = 0;
  visit_fields(mean, [&]<class T>(const char*, T& value) {
    value = static_cast<T>(sums[i++] / static_cast<double>(runs.size()));
  });
  return mean;
}

}  // namespace

RunSummary summary_of(const RunStarted& started, const RunFinished& finished) {
  return {.kind = started.kind,
          .machine = text_of(this_machine()),
          .teacher = started.teacher,
          .student = started.student,
          .steps = finished.step,
          .tokens = finished.tokens,
          .seconds = finished.seconds,
          .peak_rss_bytes = peak_rss_bytes(),
          .parameters = started.parameters,
          .bits_per_weight = started.bits_per_weight,
          .end = std::string(enum_name(finished.end)),
          .reason = finished.reason,
          .best_step = finished.best_step,
          .skipped_steps = finished.skipped_steps,
          .before = finished.before,
          .eval = finished.eval};
}

ArmSummary arm_of(const std::vector<RunSummary>& runs, std::string name, std::vector<std::string> folders) {
  const RunSummary& first = runs.front();
  ArmSummary arm = {.name = std::move(name),
                    .kind = first.kind,
                    .folders = std::move(folders),
                    .steps = first.steps,
                    .tokens = first.tokens,
                    .seconds = first.seconds,
                    .bits_per_weight = first.bits_per_weight,
                    .end = first.end,
                    .reason = first.reason,
                    .best_step = first.best_step,
                    .before = first.before,
                    .eval = first.eval,
                    .problems = first.problems};
  if (runs.size() == 1) return arm;
  arm.problems = {};
  arm.seconds = 0;
  for (const RunSummary& run : runs) {
    arm.seconds += run.seconds / static_cast<double>(runs.size());
    arm.best_step = std::min(arm.best_step, run.best_step);
    if (run.end == enum_name(RunEnd::diverged)) arm.end = run.end, arm.reason = run.reason;
  }
  arm.before = mean_eval(runs, &RunSummary::before);
  arm.eval = mean_eval(runs, &RunSummary::eval);
  return arm;
}

std::vector<ArmSummary> rows_of(const RunSummary& summary) {
  return summary.arms.empty() ? std::vector{arm_of({summary}, summary.kind, {})} : summary.arms;
}

bool has_ended(const ArmSummary& arm) { return arm.end != kStillRunning && arm.end != enum_name(RunEnd::interrupted); }

bool did_not_help(const ArmSummary& arm) {
  return has_ended(arm) && arm.steps > 0 && arm.best_step == 0 && arm.before.measured();
}

void write_summary(const std::filesystem::path& file, const RunSummary& summary) {
  write_file_atomically(file, json_of_part(summary).dump(2) + "\n");
}

RunSummary read_summary(const std::filesystem::path& file) {
  try {
    const Json json = Json::parse(read_file(file, "the summary of a run"));
    static_cast<void>(json.at("kind"));  // whatever else this may be, it is no summary
    RunSummary summary;
    read_part(json, summary);
    return summary;
  } catch (const nlohmann::json::exception& error) {
    throw Error({.who = file.string(),
                 .expected = "the summary of a run",
                 .got = json_reason(error),
                 .hint = "remove it: qad resume writes it anew"});
  }
}

}  // namespace qad
