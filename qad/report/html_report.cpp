#include "qad/report/html_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <string_view>
#include <utility>

#include "autograd/base/atomic_file.h"
#include "qad/report/comparison_table.h"
#include "qad/report/curves.h"
#include "qad/report/format.h"
#include "qad/report/html_style.h"
#include "qad/report/html_table.h"
#include "qad/report/routing_table.h"
#include "qad/report/search_table.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

// The student nearest to the teacher, where there are several to choose from.
std::size_t best_row_of(const std::vector<ArmSummary>& arms) {
  std::size_t best = kNoRow, students = 0;
  for (std::size_t i = 0; i < arms.size(); ++i) {
    if (arms[i].kind == "bf16" || std::isnan(arms[i].eval.kl_mean)) continue;
    ++students;
    if (best == kNoRow || arms[i].eval.kl_mean < arms[best].eval.kl_mean) best = i;
  }
  return students > 1 ? best : kNoRow;
}

// Grey for the teacher, one colour after the other for the rest.
std::vector<int> colours_of(const std::vector<ArmSummary>& arms) {
  std::vector<int> colours;
  int next = 0;
  for (const ArmSummary& arm : arms) colours.push_back(arm.kind == "bf16" ? 0 : 1 + next++ % (kChartColours - 1));
  return colours;
}

std::string facts(const RunSummary& run) {
  std::string out =
      fmt::format("<p class=\"facts\">teacher {}", escape_html(run.teacher.empty() ? "none" : run.teacher));
  if (!run.student.empty() && run.student != run.teacher && run.student != "teacher")
    out += ", student " + escape_html(run.student);
  if (run.parameters > 0) out += fmt::format(", {} parameters", format_count(static_cast<double>(run.parameters)));
  out += "</p>\n<p class=\"facts\">";
  if (run.steps > 0) out += fmt::format("{} steps, ", run.steps);
  if (run.tokens > 0) out += fmt::format("{} tokens, ", format_count(static_cast<double>(run.tokens)));
  out += format_duration(run.seconds);
  if (run.peak_rss_bytes > 0) out += ", peak memory " + format_bytes(run.peak_rss_bytes);
  if (run.best_step > 0) out += fmt::format(", best at step {}", run.best_step);
  if (run.end == "interrupted") out += ", interrupted";
  if (run.skipped_steps > 0) out += fmt::format(", {} steps skipped", run.skipped_steps);
  return out + "</p>\n";
}

std::string eval_note(const std::vector<ArmSummary>& arms) {
  const auto measured =
      std::find_if(arms.begin(), arms.end(), [](const ArmSummary& arm) { return arm.eval.tokens > 0; });
  if (measured == arms.end()) return "";
  return fmt::format(
      "<p class=\"facts\">Held out: {} tokens in {} documents. KL in nats a token; ± is the standard error over "
      "documents.</p>\n",
      format_count(static_cast<double>(measured->eval.tokens)), measured->eval.documents);
}

std::string token_note_paragraph(const std::vector<ArmSummary>& arms) {
  const std::string note = token_note(arms);
  return note.empty() ? "" : fmt::format("<p class=\"facts\">{}.</p>\n", escape_html(note));
}

std::string exports_section(const std::vector<ExportSummary>& exports) {
  if (exports.empty()) return "";
  Table table({{"format", Align::left}, {"folder", Align::left}, {"size"}, {"KL from the exported bytes"}});
  for (const ExportSummary& part : exports)
    table.add_row({part.format, part.folder, format_bytes(part.bytes),
                   format_with_error(part.eval.kl_mean, part.eval.kl_mean_stderr)});
  return "<h2>Exports</h2>\n" + html_table(table, {});
}

std::string problems_section(const std::vector<ArmSummary>& arms, const std::vector<int>& colours) {
  const std::vector<ProblemRow> rows = problem_rows(arms);
  std::vector<int> shown;
  for (std::size_t i = 0; i < arms.size(); ++i)
    if (arms[i].problems.measured()) shown.push_back(colours[i]);
  if (shown.empty()) return "";
  return fmt::format("<h2>Problems answered</h2>\n{}<p class=\"facts\">{}.</p>\n",
                     html_table(problem_table(rows), shown), escape_html(problem_note(rows)));
}

std::string routing_section(const std::vector<ArmSummary>& arms) {
  const Table table = routing_table(arms);
  if (table.rows().empty()) return "";
  return "<h2>Experts</h2>\n" + html_table(table, {}) +
         "<p class=\"facts\">Share of a token's experts that the teacher chooses too; an expert's share of its layer's "
         "choices. metrics.jsonl has each layer and expert.</p>\n";
}

std::string search_section(const RunSummary& run) {
  const Table groups = search_table(run);
  if (groups.rows().empty()) return "";
  return "<h2>Bits and formats</h2>\n" + chart_figure(search_chart(run)) + html_table(search_curve_table(run), {}) +
         html_table(groups, {}) +
         "<p class=\"facts\">KL of a group: with that group alone quantized, nats a token. quantize.yaml is the recipe "
         "of what was chosen.</p>\n";
}

std::string curves_section(const std::vector<CurveSource>& sources) {
  const std::string figures = chart_figure(eval_chart(sources)) + chart_figure(reward_chart(sources)) +
                              chart_figure(loss_chart(sources)) + chart_figure(learning_rate_chart(sources));
  return figures.empty() ? "" : "<h2>Curves</h2>\n" + figures;
}

std::string status_section(const Report& report) {
  if (!report.status) return "";
  return fmt::format("<p class=\"status\"><b>{}:</b> {}</p>\n", escape_html(report.status->word),
                     escape_html(report.status->text));
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

// What a row that was measured once has for curves.
std::vector<MetricsRecord> level_of(const ArmSummary& row) {
  MetricsRecord record;
  record.training.loss = EvalFigures::kNone;
  record.eval = row.eval;
  return {record};
}

std::vector<MetricsRecord> metrics_in(const fs::path& folder) {
  const fs::path file = folder / "metrics.jsonl";
  return fs::exists(file) ? read_metrics(file) : std::vector<MetricsRecord>();
}

}  // namespace

Report report_of(const fs::path& folder, const RunSummary& summary) {
  Report report;
  report.run = summary;
  const bool single = report.run.arms.empty();
  std::vector<ArmSummary> arms = rows_of(report.run);
  if (single) {
    ArmSummary& run = arms.front();
    run.name = upper(report.run.kind);
    const std::vector<MetricsRecord> metrics = metrics_in(folder);  // of a program that kept the figures there alone
    if (!run.before.measured() && !metrics.empty() && metrics.front().training.step == 0 && metrics.front().eval)
      run.before = *metrics.front().eval;
  }
  for (const ArmSummary& row : with_untrained_rows(arms)) {
    const bool is_run = single ? row.name == arms.front().name : !row.folders.empty();
    report.arms.push_back({row, is_run               ? metrics_in(single ? folder : folder / row.folders.front())
                                : row.kind == "bf16" ? std::vector<MetricsRecord>()
                                                     : level_of(row)});
  }
  if (const fs::path recipe = folder / "recipe.yaml"; fs::exists(recipe)) report.recipe = read_file(recipe, "a recipe");
  const fs::path name = fs::absolute(folder).lexically_normal();
  report.title = (name.has_filename() ? name : name.parent_path()).filename().string();
  return report;
}

std::string html_report(const Report& report) {
  std::vector<ArmSummary> arms;
  for (const ReportArm& arm : report.arms) arms.push_back(arm.summary);
  const std::vector<int> colours = colours_of(arms);
  std::vector<CurveSource> sources;
  for (std::size_t i = 0; i < arms.size(); ++i) sources.push_back({arms[i].name, colours[i], &report.arms[i].metrics});

  const std::string title = escape_html(report.title);
  const bool reloads = report.status && report.status->reloads;
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n{}<title>{} · qad</title>\n"
      "<style>{}</style>\n</head>\n<body>\n<h1>{}</h1>\n",
      reloads ? fmt::format("<meta http-equiv=\"refresh\" content=\"{}\">\n", kReloadSeconds) : "", title,
      report_style(), title);
  out += status_section(report) + facts(report.run);
  out += "<h2>Held-out quality</h2>\n" + html_table(comparison_table(arms), colours, best_row_of(arms)) +
         eval_note(arms) + token_note_paragraph(arms);
  for (const std::string& warning : warnings_of(arms))
    out += fmt::format("<p class=\"warning\">{}</p>\n", escape_html(warning));
  out += search_section(report.run) + routing_section(arms);
  if (const Table tried = candidates_table(arms); !tried.rows().empty())
    out += "<h2>Learning rates tried</h2>\n" + html_table(tried, {});
  out += problems_section(arms, colours);
  out += exports_section(report.run.exports);
  out += curves_section(sources);
  if (!report.recipe.empty())
    out += fmt::format("<details>\n<summary>Recipe, resolved</summary>\n<pre>{}</pre>\n</details>\n",
                       escape_html(report.recipe));
  out += fmt::format("<footer>qad {} · {}</footer>\n</body>\n</html>\n", escape_html(report.run.version),
                     escape_html(report.run.machine));
  return out;
}

void write_report(const fs::path& folder, const RunSummary& summary) {
  write_file_atomically(folder / "report.html", html_report(report_of(folder, summary)));
}

}  // namespace qad
