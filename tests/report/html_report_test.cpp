// The report: well-formed, escaped, complete, without a network; charts that survive odd data.
#include "qad/report/html_report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "autograd/base/atomic_file.h"
#include "qad/report/curves.h"
#include "qad/report/html_table.h"
#include "qad/report/svg_chart.h"
#include "tests/support/paths.h"

namespace qad {
namespace {

// Every element that is opened is closed in order; void elements excepted.
::testing::AssertionResult is_balanced(std::string_view html) {
  std::vector<std::string> open;
  for (std::size_t at = html.find('<'); at != std::string_view::npos; at = html.find('<', at + 1)) {
    const std::size_t end = html.find('>', at);
    if (end == std::string_view::npos) return ::testing::AssertionFailure() << "no '>' after " << at;
    const std::string_view tag = html.substr(at + 1, end - at - 1);
    const std::string name(
        tag.substr(tag.starts_with('/') ? 1 : 0, tag.find_first_of(" /", 1) - (tag.starts_with('/') ? 1 : 0)));
    if (tag.starts_with('!') || tag.ends_with('/') || name == "meta" || name == "wbr") continue;
    if (!tag.starts_with('/')) open.push_back(name);
    else if (open.empty() || open.back() != std::string(tag.substr(1)))
      return ::testing::AssertionFailure()
             << "</" << tag.substr(1) << "> closes " << (open.empty() ? "nothing" : open.back());
    else open.pop_back();
  }
  if (open.empty()) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "left open: " << open.back();
}

std::size_t count_of(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

EvalFigures figures_with(double kl) {
  return {.kl_mean = kl,
          .kl_mean_stderr = 0.03 * kl,
          .kl_p99 = 5.0 * kl,
          .cross_entropy = 1.2 + kl,
          .cross_entropy_stderr = 0.02,
          .perplexity = std::exp(1.2 + kl),
          .top1_agreement = 1.0 - kl,
          .top1_stderr = 0.004,
          .documents = 120,
          .tokens = 48'000};
}

// A run of 400 steps whose held-out KL goes from `first` to `last`; noise from a small recurrence.
void write_curves(const std::filesystem::path& file, double first, double last, double lr) {
  MetricsLog log(file);
  log.run_started({});
  log.eval_done({0, 0, figures_with(first), false});
  std::uint32_t noise = 1;
  for (std::int64_t step = 1; step <= 400; ++step) {
    noise = noise * 1664525u + 1013904223u;
    const double t = static_cast<double>(step) / 400.0;
    const double kl = last + (first - last) * std::exp(-5.0 * t);
    StepDone event;
    event.step = step;
    event.tokens = step * 2048;
    event.loss = kl * (0.8 + 0.4 * (noise >> 8) / 16777216.0);
    event.lr = lr * std::min(static_cast<double>(step) / 20.0, 0.5 + 0.5 * std::cos(3.14159 * t));
    event.eval_follows = step % 50 == 0;
    log.step_done(event);
    if (event.eval_follows) log.eval_done({step, event.tokens, figures_with(kl), true});
  }
}

ArmSummary arm(const std::string& name, const std::string& kind, std::int64_t steps, double kl, double bits) {
  return {.name = name,
          .kind = kind,
          .folders = kind == "bf16" ? std::vector<std::string>() : std::vector<std::string>{"arms/" + name},
          .steps = steps,
          .tokens = steps * 2048,
          .seconds = 30.0,
          .bits_per_weight = bits,
          .eval = figures_with(kl)};
}

void write_comparison(const std::filesystem::path& folder) {
  RunSummary run;
  run.kind = "compare";
  run.version = "0.1.0";
  run.machine = "a CPU with <angle> brackets, 2 cores";
  run.teacher = run.student = "models/teacher & co";
  run.steps = 400;
  run.tokens = 819'200;
  run.seconds = 83.0;
  run.peak_rss_bytes = 312 << 20;
  run.parameters = 1'654'272;
  run.arms = {arm("BF16", "bf16", 0, 0.0, 16), arm("PTQ", "ptq", 0, 0.13, 4.5), arm("QAT", "qat", 400, 0.16, 4.5),
              arm("QAD", "qad", 400, 0.046, 4.5)};
  run.exports = {{"modelopt", "export/modelopt", 1'234'567, figures_with(0.046)},
                 {"dense", "export/dense", 3'308'544, figures_with(0.046)}};
  write_summary(folder / "summary.json", run);
  write_curves(folder / "arms/QAT/metrics.jsonl", 0.13, 0.16, 1e-4);
  write_curves(folder / "arms/QAD/metrics.jsonl", 0.13, 0.046, 1e-3);
  MetricsLog ptq(folder / "arms/PTQ/metrics.jsonl");
  ptq.run_started({});
  ptq.eval_done({0, 0, figures_with(0.13), true});
  write_file_atomically(folder / "recipe.yaml", "kind: compare\nseparator: \"<|endoftext|>\"\nseed: 1\n");
}

TEST(HtmlReport, Comparison) {
  const testing::TemporaryFolder temporary;
  const char* keep = std::getenv("QAD_KEEP_REPORT");  // a folder in which to look at the page
  const std::filesystem::path folder = keep != nullptr ? std::filesystem::path(keep) : temporary / "quickstart";
  write_comparison(folder);
  write_report(folder, read_summary(folder / "summary.json"));
  const std::string html = read_file(folder / "report.html", "a report");
  EXPECT_TRUE(is_balanced(html));
  EXPECT_EQ(html.find("http"), std::string::npos) << "the page must not need a network";
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_NE(html.find("models/teacher &amp; co"), std::string::npos);
  EXPECT_NE(html.find("&lt;angle&gt;"), std::string::npos);
  EXPECT_NE(html.find("&lt;|endoftext|&gt;"), std::string::npos);
  EXPECT_NE(html.find("prefers-color-scheme: dark"), std::string::npos);
  EXPECT_EQ(count_of(html, "<figure>"), 3u);
  EXPECT_EQ(count_of(html, "<tr class=\"best\">"), 1u);
  EXPECT_NE(html.find("65 %"), std::string::npos);  // QAD won back 1 - 0.046/0.13
  EXPECT_EQ(html.find("nan"), std::string::npos);
}

TEST(HtmlReport, SingleRunWithItsStudentBeforeTraining) {
  const testing::TemporaryFolder folder;
  RunSummary run;
  run.kind = "qad";
  run.steps = run.best_step = 400;
  run.eval = figures_with(0.046);
  run.eval.kl_p99 = NAN;
  write_curves(folder / "metrics.jsonl", 0.13, 0.046, 1e-3);
  const std::string html = html_report(report_of(folder.path(), run));
  EXPECT_TRUE(is_balanced(html));
  EXPECT_NE(html.find("before training"), std::string::npos);
  EXPECT_NE(html.find("65 %"), std::string::npos);
  EXPECT_EQ(count_of(html, "<figure>"), 3u);
}

TEST(HtmlTable, ErrorsStandBelowTheirFiguresAndCardsNameTheirColumns) {
  Table table({{"", Align::left}, {"KL"}, {"note", Align::left}, {"a"}, {"b"}, {"a→b"}});
  table.add_row({"<qad>", "0.13 ± 0.01", "a ± b", "71.2 (67.4…74.9)", "93.4 ± 0.2 %", "4.5"});
  const std::string html = html_table(table, {2}, 0);
  EXPECT_TRUE(is_balanced(html));
  EXPECT_NE(html.find("<table class=\"cards-600\">"), std::string::npos) << html;
  EXPECT_NE(html.find("<tr class=\"best\"><th scope=\"row\" class=\"left\"><span class=\"dot c2\"></span>&lt;qad&gt;"),
            std::string::npos)
      << html;
  EXPECT_NE(html.find("<td class=\"right\" data-title=\"KL\">0.13<small>± 0.01</small></td>"), std::string::npos)
      << html;
  EXPECT_NE(html.find("<td class=\"left\" data-title=\"note\">a ± b</td>"), std::string::npos) << html;
  EXPECT_NE(html.find(">71.2<small>(67.4…74.9)</small></td>"), std::string::npos) << html;
  EXPECT_NE(html.find(">a→<wbr>b</th>"), std::string::npos) << html;
  EXPECT_NE(html.find(">93.4 %<small>± 0.2</small></td>"), std::string::npos) << html;
}

TEST(HtmlReport, RunWithoutCurves) {
  const testing::TemporaryFolder folder;
  RunSummary run;
  run.kind = "ptq";
  const std::string html = html_report(report_of(folder.path(), run));
  EXPECT_TRUE(is_balanced(html));
  EXPECT_EQ(count_of(html, "<figure>"), 0u);
}

TEST(SvgChart, SurvivesOddData) {
  const std::vector<std::vector<ChartPoint>> cases = {{},
                                                      {{0, 1}},
                                                      {{0, 5}, {10, 5}},
                                                      {{0, NAN}, {1, INFINITY}},
                                                      {{0, 0}, {1, -3}},
                                                      {{0, 1e-300}, {1, 1e300}},
                                                      {{0, 0}, {5, 0}}};
  for (const bool log_y : {false, true})
    for (const auto& points : cases) {
      const std::string svg = svg_chart({.title = "<odd> & \"quoted\"",
                                         .x_title = "x",
                                         .log_y = log_y,
                                         .series = {{"s", 1, SeriesStyle::line_with_marks, points}}});
      EXPECT_TRUE(is_balanced(svg)) << svg;
      EXPECT_EQ(svg.find("nan"), std::string::npos) << svg;
      EXPECT_EQ(svg.find("inf"), std::string::npos) << svg;
    }
}

TEST(SvgChart, Ticks) {
  EXPECT_EQ(linear_ticks(0.0, 1.0, 5), (std::vector<double>{0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0}));
  EXPECT_EQ(linear_ticks(0.0, 820'000.0, 7), (std::vector<double>{0, 200'000, 400'000, 600'000, 800'000}));
  EXPECT_EQ(linear_ticks(2.0, 2.0, 5), std::vector<double>{});
  EXPECT_EQ(log_ticks(0.01, 0.3), (std::vector<double>{0.01, 0.02, 0.05, 0.1, 0.2}));
  EXPECT_EQ(log_ticks(1.0, 1e4).size(), 5u);
  EXPECT_LE(log_ticks(1e-300, 1e300).size(), 12u);
}

TEST(Curves, ThinningAndSmoothingKeepTheMean) {
  std::vector<ChartPoint> line;
  for (int i = 0; i < 1000; ++i) line.push_back({static_cast<double>(i), 2.0 * i});
  const auto thin = thinned(line, 100);
  ASSERT_EQ(thin.size(), 100u);
  EXPECT_DOUBLE_EQ(thin[0].x, 4.5);
  EXPECT_DOUBLE_EQ(thin[0].y, 9.0);
  EXPECT_EQ(thinned(line, 2000).size(), 1000u);
  for (const std::size_t i : {0u, 1u, 500u, 999u}) EXPECT_DOUBLE_EQ(smoothed(line, 20)[i].y, line[i].y);
}

}  // namespace
}  // namespace qad
