#include "qad/report/summary.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <utility>

#include "autograd/core/atomic_file.h"
#include "autograd/core/error.h"
#include "data/json_file.h"
#include "qad/report/eval_json.h"
#include "qad/report/format.h"
#include "qad/report/machine.h"
#include "qad/report/problem_json.h"

namespace qad {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const ExportSummary& part) {
  return {{"format", part.format}, {"folder", part.folder}, {"bytes", part.bytes}, {"eval", qad::json_of(part.eval)}};
}

Json json_of(const ArmSummary& arm) {
  Json json = {{"name", arm.name}, {"kind", arm.kind}};
  if (!arm.folders.empty()) json["folders"] = arm.folders;
  json.update({{"steps", arm.steps}, {"tokens", arm.tokens}, {"seconds", arm.seconds}});
  if (!std::isnan(arm.bits_per_weight)) json["bits_per_weight"] = arm.bits_per_weight;
  json["eval"] = qad::json_of(arm.eval);
  if (arm.problems.measured()) json["problems"] = qad::json_of(arm.problems);
  return json;
}

Json json_of(const RunSummary& run) {
  Json json = {{"kind", run.kind},
               {"version", run.version},
               {"machine", run.machine},
               {"teacher", run.teacher},
               {"student", run.student},
               {"steps", run.steps},
               {"tokens", run.tokens},
               {"seconds", run.seconds},
               {"peak_rss_bytes", run.peak_rss_bytes},
               {"parameters", run.parameters}};
  if (!std::isnan(run.bits_per_weight)) json["bits_per_weight"] = run.bits_per_weight;
  json.update({{"end", run.end}, {"best_step", run.best_step}, {"skipped_steps", run.skipped_steps}});
  json["eval"] = qad::json_of(run.eval);
  if (run.problems.measured()) json["problems"] = qad::json_of(run.problems);
  json["exports"] = Json::array();
  for (const ExportSummary& part : run.exports) json["exports"].push_back(json_of(part));
  for (const ArmSummary& arm : run.arms) json["arms"].push_back(json_of(arm));
  return json;
}

EvalFigures eval_in(const Json& json) { return eval_figures_of(json.value("eval", Json::object())); }
ProblemResults problems_in(const Json& json) { return problem_results_of(json.value("problems", Json::object())); }

ExportSummary export_of(const Json& json) {
  return {.format = json.value("format", ""),
          .folder = json.value("folder", ""),
          .bytes = json.value("bytes", std::int64_t{0}),
          .eval = eval_in(json)};
}

ArmSummary arm_of(const Json& json) {
  return {.name = json.at("name").get<std::string>(),
          .kind = json.value("kind", ""),
          .folders = json.value("folders", std::vector<std::string>()),
          .steps = json.value("steps", std::int64_t{0}),
          .tokens = json.value("tokens", std::int64_t{0}),
          .seconds = json.value("seconds", 0.0),
          .bits_per_weight = number_or_nan(json, "bits_per_weight"),
          .eval = eval_in(json),
          .problems = problems_in(json)};
}

RunSummary run_of(const Json& json) {
  RunSummary run = {.kind = json.at("kind").get<std::string>(),
                    .version = json.value("version", ""),
                    .machine = json.value("machine", ""),
                    .teacher = json.value("teacher", ""),
                    .student = json.value("student", ""),
                    .steps = json.value("steps", std::int64_t{0}),
                    .tokens = json.value("tokens", std::int64_t{0}),
                    .seconds = json.value("seconds", 0.0),
                    .peak_rss_bytes = json.value("peak_rss_bytes", std::int64_t{0}),
                    .parameters = json.value("parameters", std::int64_t{0}),
                    .bits_per_weight = number_or_nan(json, "bits_per_weight"),
                    .end = json.value("end", ""),
                    .best_step = json.value("best_step", std::int64_t{0}),
                    .skipped_steps = json.value("skipped_steps", std::int64_t{0}),
                    .eval = eval_in(json),
                    .problems = problems_in(json),
                    .exports = {},
                    .arms = {}};
  for (const Json& part : json.value("exports", Json::array())) run.exports.push_back(export_of(part));
  for (const Json& arm : json.value("arms", Json::array())) run.arms.push_back(arm_of(arm));
  return run;
}

// Standard errors over documents are averaged as well; what differs between seeds is not in them.
EvalFigures mean_eval(const std::vector<RunSummary>& runs) {
  std::vector<double> sums;
  for (const RunSummary& run : runs) {
    std::size_t i = 0;
    visit_figures(run.eval, [&](const char*, auto value) {
      if (i == sums.size()) sums.push_back(0.0);
      sums[i++] += static_cast<double>(value);
    });
  }
  EvalFigures mean;
  std::size_t i = 0;
  visit_figures(mean, [&]<class T>(const char*, T& value) {
    value = static_cast<T>(sums[i++] / static_cast<double>(runs.size()));
  });
  return mean;
}

}  // namespace

RunSummary summary_of(const RunStarted& started, const RunFinished& finished) {
  return {.kind = started.kind,
          .version = {},
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
          .best_step = finished.best_step,
          .skipped_steps = finished.skipped_steps,
          .eval = finished.eval,
          .problems = {},
          .exports = {},
          .arms = {}};
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
                    .eval = first.eval,
                    .problems = first.problems};
  if (runs.size() == 1) return arm;
  arm.problems = {};
  arm.seconds = 0;
  for (const RunSummary& run : runs) arm.seconds += run.seconds / static_cast<double>(runs.size());
  arm.eval = mean_eval(runs);
  return arm;
}

std::vector<ArmSummary> rows_of(const RunSummary& summary) {
  return summary.arms.empty() ? std::vector{arm_of({summary}, summary.kind, {})} : summary.arms;
}

void write_summary(const std::filesystem::path& file, const RunSummary& summary) {
  write_file_atomically(file, json_of(summary).dump(2) + "\n");
}

RunSummary read_summary(const std::filesystem::path& file) {
  try {
    return run_of(Json::parse(read_file(file, "the summary of a run")));
  } catch (const nlohmann::json::exception& error) {
    throw Error({file.string(), "the summary of a run", json_reason(error), "remove it: qad resume writes it anew"});
  }
}

Table comparison_table(const std::vector<ArmSummary>& arms) {
  const auto ptq = std::find_if(arms.begin(), arms.end(), [](const ArmSummary& arm) { return arm.kind == "ptq"; });
  const double ptq_kl = ptq != arms.end() ? ptq->eval.kl_mean : EvalFigures::kNone;
  struct Figure {
    std::string title;
    std::function<std::string(const ArmSummary&)> cell;
    std::function<double(const ArmSummary&)> value;  ///< a column whose value no arm has is left out
  };
  const auto kl = [](const ArmSummary& arm) { return arm.eval.kl_mean; };
  const auto kl_p99 = [](const ArmSummary& arm) { return arm.eval.kl_p99; };
  const auto cross_entropy = [](const ArmSummary& arm) { return arm.eval.cross_entropy; };
  const auto perplexity = [](const ArmSummary& arm) { return arm.eval.perplexity; };
  const auto top1 = [](const ArmSummary& arm) { return arm.eval.top1_agreement; };
  const auto bits = [](const ArmSummary& arm) { return arm.bits_per_weight; };
  const auto won_back = [&](const ArmSummary& arm) {
    return arm.steps > 0 && ptq_kl > 0.0 ? 1.0 - arm.eval.kl_mean / ptq_kl : EvalFigures::kNone;
  };
  const Figure figures[] = {
      {"KL to teacher", [&](const auto& arm) { return format_with_error(kl(arm), arm.eval.kl_mean_stderr); }, kl},
      {"won back", [&](const auto& arm) { return format_percent(won_back(arm), 0); }, won_back},
      {"KL p99", [&](const auto& arm) { return format_with_error(kl_p99(arm), arm.eval.kl_p99_stderr); }, kl_p99},
      {"cross-entropy",
       [&](const auto& arm) { return format_with_error(cross_entropy(arm), arm.eval.cross_entropy_stderr); },
       cross_entropy},
      {"perplexity", [&](const auto& arm) { return format_with_error(perplexity(arm), arm.eval.perplexity_stderr); },
       perplexity},
      {"top-1", [&](const auto& arm) { return format_percent_with_error(top1(arm), arm.eval.top1_stderr); }, top1},
      {"bits/weight", [&](const auto& arm) { return format_significant(bits(arm), 3); }, bits},
  };

  std::vector<Column> columns = {{"", Align::left}};
  std::vector<const Figure*> shown;
  for (const Figure& figure : figures)
    if (std::any_of(arms.begin(), arms.end(), [&](const ArmSummary& arm) { return !std::isnan(figure.value(arm)); })) {
      columns.push_back({figure.title});
      shown.push_back(&figure);
    }
  Table table(std::move(columns));
  for (const ArmSummary& arm : arms) {
    std::vector<std::string> cells = {arm.name};
    for (const Figure* figure : shown) cells.push_back(figure->cell(arm));
    table.add_row(std::move(cells));
  }
  return table;
}

std::vector<ProblemRow> problem_rows(const std::vector<ArmSummary>& arms) {
  std::vector<ProblemRow> rows;
  for (const ArmSummary& arm : arms) rows.emplace_back(arm.name, arm.problems);
  return rows;
}

}  // namespace qad
