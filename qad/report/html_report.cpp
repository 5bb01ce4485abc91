#include "qad/report/html_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

#include "autograd/core/atomic_file.h"
#include "qad/report/comparison_table.h"
#include "qad/report/curves.h"
#include "qad/report/format.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kStyle = R"(
:root { color-scheme: light dark; --ink: #1f2328; --soft: #656d76; --line: #d8dee4; --page: #ffffff; --panel: #f6f8fa;
  --c0: #57606a; --c1: #2f6fde; --c2: #c77700; --c3: #0f8a6c; --c4: #c2385a; --c5: #7c4dbd; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --soft: #8d96a0; --line: #30363d; --page: #0d1117; --panel: #161b22;
    --c0: #9aa4af; --c1: #6ea8fe; --c2: #e8a33d; --c3: #3fbf9b; --c4: #f07792; --c5: #b596f0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 56rem; padding: 2.5rem 1.25rem 3rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .3rem; font-weight: 650; }
h2 { font-size: 1.05rem; margin: 2.2rem 0 .6rem; font-weight: 650; }
p { margin: .2rem 0; }
.warning { color: var(--c4); font-weight: 550; margin-top: .6rem; }
.facts, footer { color: var(--soft); font-size: .9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .42rem .6rem; white-space: nowrap; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { padding-left: 0; }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--soft); font-weight: 500; }
tbody th { font-weight: 550; }
.left { text-align: left; } .right { text-align: right; }
tr.best td, tr.best th { font-weight: 700; }
.dot { display: inline-block; width: .65em; height: .65em; border-radius: 50%; background: currentColor; margin-right: .5em; }
figure { margin: 1.4rem 0 0; }
svg { display: block; width: 100%; height: auto; font-family: inherit; }
svg svg { overflow: hidden; }
.title { font-size: 13px; font-weight: 650; fill: var(--ink); }
.key { font-size: 12px; fill: var(--ink); }
.tick { font-size: 11px; fill: var(--soft); }
.grid { stroke: var(--line); stroke-width: 1; }
.axis { stroke: var(--soft); stroke-width: 1; }
.c0 { color: var(--c0); } .c1 { color: var(--c1); } .c2 { color: var(--c2); }
.c3 { color: var(--c3); } .c4 { color: var(--c4); } .c5 { color: var(--c5); }
.line, .faint, .level, .error { fill: none; stroke: currentColor; }
.line { stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: round; }
.faint { stroke-width: 1; opacity: .28; }
.level { stroke-width: 1.5; stroke-dasharray: 5 4; }
.error { stroke-width: 1.2; }
.mark { fill: currentColor; stroke: var(--page); stroke-width: 1; }
details { margin-top: 2.2rem; }
summary { cursor: pointer; font-weight: 650; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: 6px; padding: .9rem 1rem; overflow-x: auto;
  font: .82rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
footer { margin-top: 2.2rem; border-top: 1px solid var(--line); padding-top: .8rem; }
)";

constexpr std::size_t kNoRow = std::numeric_limits<std::size_t>::max();

/// The first column names the row; `colours` gives each row a dot (empty: none).
std::string html_table(const Table& table, const std::vector<int>& colours, std::size_t best_row = kNoRow) {
  const auto side = [&](std::size_t c) { return table.columns()[c].align == Align::left ? "left" : "right"; };
  std::string out = "<div class=\"scroll\"><table>\n<thead><tr>";
  for (std::size_t c = 0; c < table.columns().size(); ++c)
    out += fmt::format("<th scope=\"col\" class=\"{}\">{}</th>", side(c), escape_html(table.columns()[c].title));
  out += "</tr></thead>\n<tbody>\n";
  for (std::size_t r = 0; r < table.rows().size(); ++r) {
    out += r == best_row ? "<tr class=\"best\">" : "<tr>";
    for (std::size_t c = 0; c < table.columns().size(); ++c) {
      const std::string cell = escape_html(table.rows()[r][c]);
      const std::string dot =
          c == 0 && !colours.empty() ? fmt::format("<span class=\"dot c{}\"></span>", colours[r]) : "";
      out += c == 0 ? fmt::format("<th scope=\"row\" class=\"{}\">{}{}</th>", side(c), dot, cell)
                    : fmt::format("<td class=\"{}\">{}</td>", side(c), cell);
    }
    out += "</tr>\n";
  }
  return out + "</tbody>\n</table></div>\n";
}

/// The student nearest to the teacher, where there are several to choose from.
std::size_t best_row_of(const std::vector<ArmSummary>& arms) {
  std::size_t best = kNoRow, students = 0;
  for (std::size_t i = 0; i < arms.size(); ++i) {
    if (arms[i].kind == "bf16" || std::isnan(arms[i].eval.kl_mean)) continue;
    ++students;
    if (best == kNoRow || arms[i].eval.kl_mean < arms[best].eval.kl_mean) best = i;
  }
  return students > 1 ? best : kNoRow;
}

/// Grey for the teacher, one colour after the other for the rest.
std::vector<int> colours_of(const std::vector<ArmSummary>& arms) {
  std::vector<int> colours;
  int next = 0;
  for (const ArmSummary& arm : arms) colours.push_back(arm.kind == "bf16" ? 0 : 1 + next++ % (kChartColours - 1));
  return colours;
}

std::string facts(const RunSummary& run) {
  std::string out =
      fmt::format("<p class=\"facts\">teacher {}", escape_html(run.teacher.empty() ? "none" : run.teacher));
  if (!run.student.empty() && run.student != run.teacher) out += ", student " + escape_html(run.student);
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

std::string figure(const Chart& chart) {
  return chart.series.empty() ? "" : "<figure>\n" + svg_chart(chart) + "</figure>\n";
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

/// What a row that was measured once has for curves.
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

Report load_report(const fs::path& folder) {
  Report report;
  report.run = read_summary(folder / "summary.json");
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
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{} · qad</title>\n"
      "<style>{}</style>\n</head>\n<body>\n<h1>{}</h1>\n",
      title, kStyle, title);
  out += facts(report.run);
  out +=
      "<h2>Held-out quality</h2>\n" + html_table(comparison_table(arms), colours, best_row_of(arms)) + eval_note(arms);
  for (const std::string& warning : warnings_of(arms))
    out += fmt::format("<p class=\"warning\">{}</p>\n", escape_html(warning));
  if (const Table tried = candidates_table(arms); !tried.rows().empty())
    out += "<h2>Learning rates tried</h2>\n" + html_table(tried, {});
  out += problems_section(arms, colours);
  out += exports_section(report.run.exports);
  out += "<h2>Curves</h2>\n" + figure(eval_chart(sources)) + figure(reward_chart(sources)) +
         figure(loss_chart(sources)) + figure(learning_rate_chart(sources));
  if (!report.recipe.empty())
    out += fmt::format("<details>\n<summary>Recipe, resolved</summary>\n<pre>{}</pre>\n</details>\n",
                       escape_html(report.recipe));
  out += fmt::format("<footer>qad {} · {}</footer>\n</body>\n</html>\n", escape_html(report.run.version),
                     escape_html(report.run.machine));
  return out;
}

void write_report(const fs::path& folder) {
  write_file_atomically(folder / "report.html", html_report(load_report(folder)));
}

}  // namespace qad
