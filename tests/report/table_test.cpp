// Numbers for people, display widths, and the tables made of them.
#include "qad/report/table.h"

#include <gtest/gtest.h>

#include <cmath>

#include "qad/report/comparison_table.h"
#include "qad/report/format.h"

namespace qad {
namespace {

TEST(Format, Numbers) {
  EXPECT_EQ(format_fixed(0.12345, 3), "0.123");
  EXPECT_EQ(format_fixed(NAN, 3), "–");
  EXPECT_EQ(format_significant(0.130249), "0.1302");
  EXPECT_EQ(format_significant(1e-5), "1e-05");
  EXPECT_EQ(format_with_error(0.080312, 0.00123), "0.0803 ± 0.0012");
  EXPECT_EQ(format_with_error(12.3456, 2.5), "12.3 ± 2.5");
  EXPECT_EQ(format_with_error(0.25, NAN), "0.25");
  EXPECT_EQ(format_with_error(0.0, 0.0), "0");
  EXPECT_EQ(format_percent(0.7634), "76.3 %");
  EXPECT_EQ(format_percent_with_error(0.7634, 0.0012), "76.34 ± 0.12 %");
  EXPECT_EQ(format_percent_with_error(1.0, 0.0), "100.0 %");
}

TEST(Format, CountsBytesTimes) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(999.6), "1.00k");
  EXPECT_EQ(format_count(12'345), "12.3k");
  EXPECT_EQ(format_count(999'600), "1.00M");
  EXPECT_EQ(format_bytes(512), "512 B");
  EXPECT_EQ(format_bytes(4096), "4.0 KiB");
  EXPECT_EQ(format_bytes(std::int64_t{5} << 30), "5.0 GiB");
  EXPECT_EQ(format_duration(0.83), "0.8 s");
  EXPECT_EQ(format_duration(59.7), "1:00");
  EXPECT_EQ(format_duration(83), "1:23");
  EXPECT_EQ(format_duration(7384), "2:03:04");
  EXPECT_EQ(format_duration(NAN), "–");
}

TEST(Format, DisplayWidth) {
  EXPECT_EQ(display_width("plain"), 5);
  EXPECT_EQ(display_width("0.1 ± 0.2"), 9);
  EXPECT_EQ(display_width("e\u0301"), 1);
  EXPECT_EQ(display_width("漢字"), 4);
  EXPECT_EQ(display_width("🙂!"), 3);
  EXPECT_EQ(display_width("\xf0\x9f"), 1);  // cut off: no harm done
}

TEST(Table, AlignsByDisplayWidth) {
  Table table({{"name", Align::left}, {"KL"}, {"note", Align::left}});
  table.add_row({"ptq", "0.13 ± 0.01", "漢字"});
  table.add_row({"a longer one", "1", ""});
  EXPECT_EQ(table.text(),
            "name                   KL  note\n"
            "────────────  ───────────  ────\n"
            "ptq           0.13 ± 0.01  漢字\n"
            "a longer one            1\n");
}

ArmSummary arm_of_kind(const char* kind, std::int64_t steps, double kl, double bits) {
  ArmSummary summary;
  summary.name = summary.kind = kind;
  summary.steps = steps;
  summary.eval.kl_mean = kl;
  summary.bits_per_weight = bits;
  return summary;
}

TEST(ComparisonTable, ShowsWhatWasMeasuredAndWhatWasWonBack) {
  const Table table = comparison_table({arm_of_kind("bf16", 0, 0.0, 16), arm_of_kind("ptq", 0, 0.2, 4.5),
                                        arm_of_kind("qat", 9, 0.3, 4.5), arm_of_kind("qad", 9, 0.05, 4.5)});
  EXPECT_EQ(table.text(),
            "      KL to teacher  won back  bits/weight\n"
            "────  ─────────────  ────────  ───────────\n"
            "bf16              0         –           16\n"
            "ptq             0.2         –          4.5\n"
            "qat             0.3     -50 %          4.5\n"
            "qad            0.05      75 %          4.5\n");
}

EvalFigures figures_of_kl(double kl) {
  EvalFigures result;
  result.kl_mean = kl;
  result.tokens = 10;
  return result;
}

TEST(ComparisonTable, HasARowForTheStudentBeforeTraining) {
  ArmSummary ptq = arm_of_kind("ptq", 0, 0.2, 4.5), qad = arm_of_kind("qad", 9, 0.05, 4.5),
             mixed = arm_of_kind("qad", 9, 0.04, 5);
  ptq.eval = figures_of_kl(0.2), qad.eval = figures_of_kl(0.05), mixed.eval = figures_of_kl(0.04);
  qad.before = ptq.eval, mixed.before = figures_of_kl(0.1);
  mixed.name = "mixed";
  qad.best_step = mixed.best_step = 9;
  EXPECT_EQ(comparison_table(with_untrained_rows({ptq, qad, mixed})).text(),
            "                       KL to teacher  won back  bits/weight\n"
            "─────────────────────  ─────────────  ────────  ───────────\n"
            "ptq                              0.2         –          4.5\n"
            "qad                             0.05      75 %          4.5\n"
            "mixed before training            0.1         –            5\n"
            "mixed                           0.04      80 %            5\n");
  EXPECT_EQ(comparison_table(with_untrained_rows({qad})).text(),
            "                 KL to teacher  won back  bits/weight\n"
            "───────────────  ─────────────  ────────  ───────────\n"
            "before training            0.2         –          4.5\n"
            "qad                       0.05      75 %          4.5\n");
  EXPECT_TRUE(warnings_of({ptq, qad, mixed}).empty());
}

TEST(ComparisonTable, SaysWhatDidNotHelp) {
  ArmSummary useless = arm_of_kind("qad", 9, 0.2, 4.5), wild = arm_of_kind("qat", 9, 0.2, 4.5);
  useless.eval = useless.before = wild.eval = wild.before = figures_of_kl(0.2);
  wild.end = "diverged";
  wild.reason = "held out, 3e+08 nats";
  EXPECT_EQ(comparison_table({useless, wild}).text(),
            "                KL to teacher  bits/weight\n"
            "──────────────  ─────────────  ───────────\n"
            "qad (step 0)              0.2          4.5\n"
            "qat (diverged)            0.2          4.5\n");
  const std::vector<std::string> warnings = warnings_of({useless, wild});
  ASSERT_EQ(warnings.size(), 2u);
  EXPECT_NE(warnings[0].find("no evaluation was better than that of the student before training"), std::string::npos);
  EXPECT_NE(warnings[1].find("qat diverged: held out, 3e+08 nats"), std::string::npos);
}

TEST(CandidatesTable, HasEveryRateThatWasTried) {
  ArmSummary qad = arm_of_kind("qad", 9, 0.05, 4.5);
  qad.folders = {"arms/qad-lr0.001"};
  qad.candidates = {{.name = "qad-lr0.0005", .lr = 5e-4, .folders = {"arms/qad-lr0.0005"}, .best_step = 9},
                    {.name = "qad-lr0.001", .lr = 1e-3, .folders = {"arms/qad-lr0.001"}, .best_step = 6},
                    {.name = "qad-lr1", .lr = 1.0, .folders = {"arms/qad-lr1"}, .end = "diverged"}};
  for (CandidateSummary& one : qad.candidates) one.eval = figures_of_kl(0.01 / one.lr);
  EXPECT_EQ(candidates_table({arm_of_kind("ptq", 0, 0.2, 4.5), qad}).text(),
            "              learning rate  KL to teacher  cross-entropy  best step  chosen\n"
            "────────────  ─────────────  ─────────────  ─────────────  ─────────  ──────\n"
            "qad-lr0.0005         0.0005             20              –          9\n"
            "qad-lr0.001           0.001             10              –          6     yes\n"
            "qad-lr1                   1           0.01              –   diverged\n");
}

TEST(TokenNote, SaysWhyQatCountsFewer) {
  ArmSummary qat = arm_of_kind("qat", 9, 0.3, 4.5), qad = arm_of_kind("qad", 9, 0.05, 4.5);
  qat.tokens = 12'000, qad.tokens = 12'345;
  const std::string note = token_note({arm_of_kind("ptq", 0, 0.2, 4.5), qat, qad});
  EXPECT_EQ(note.find("Tokens trained on: qat 12.0k, qad 12.3k. Of the same text, distillation (qad) counts every"), 0u)
      << note;
  qat.tokens = qad.tokens;
  EXPECT_EQ(token_note({qat, qad}), "");
  EXPECT_EQ(token_note({qad}), "");
}

TEST(ComparisonTable, EveryFigureWithItsStandardError) {
  ArmSummary summary = arm_of_kind("qad", 9, 0.05, 4.5);
  summary.eval = {.kl_mean = 0.05,
                  .kl_mean_stderr = 0.001,
                  .kl_p99 = 0.4,
                  .kl_p99_stderr = 0.02,
                  .cross_entropy = 3.4,
                  .cross_entropy_stderr = 0.03,
                  .perplexity = 29.96,
                  .perplexity_stderr = 0.9,
                  .top1_agreement = 0.8,
                  .top1_stderr = 0.004};
  EXPECT_EQ(comparison_table({summary}).text(),
            "       KL to teacher         KL p99  cross-entropy    perplexity           top-1  bits/weight\n"
            "───  ───────────────  ─────────────  ─────────────  ────────────  ──────────────  ───────────\n"
            "qad  0.0500 ± 0.0010  0.400 ± 0.020  3.400 ± 0.030  29.96 ± 0.90  80.00 ± 0.40 %          4.5\n");
}

}  // namespace
}  // namespace qad
