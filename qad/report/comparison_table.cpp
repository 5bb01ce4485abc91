#include "qad/report/comparison_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "qad/report/format.h"

namespace qad {
namespace {

bool diverged(const std::string& end) { return end == enum_name(RunEnd::diverged); }

bool same_figures(const EvalFigures& a, const EvalFigures& b) {
  const auto same = [](double x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); };
  return a.tokens == b.tokens && same(a.kl_mean, b.kl_mean) && same(a.cross_entropy, b.cross_entropy);
}

std::string marked_name(const ArmSummary& arm) {
  if (!has_ended(arm)) return fmt::format("{} ({})", arm.name, arm.end);
  return arm.name + (diverged(arm.end) ? " (diverged)" : did_not_help(arm) ? " (step 0)" : "");
}

}  // namespace

std::vector<ArmSummary> with_untrained_rows(const std::vector<ArmSummary>& arms) {
  std::vector<ArmSummary> rows;
  const auto is_there = [&](const EvalFigures& figures) {
    const auto has_them = [&](const ArmSummary& row) { return same_figures(row.eval, figures); };
    return std::ranges::any_of(rows, has_them) ||
           std::ranges::any_of(arms, [&](const ArmSummary& arm) { return arm.steps == 0 && has_them(arm); });
  };
  for (const ArmSummary& arm : arms) {
    if (arm.steps > 0 && arm.before.measured() && !is_there(arm.before)) {
      ArmSummary before;
      before.name = arms.size() == 1 ? "before training" : arm.name + " before training";
      before.kind = arm.kind == "qat" || arm.kind == "qad" ? "ptq" : "before";
      before.bits_per_weight = arm.bits_per_weight;
      before.eval = arm.before;
      rows.push_back(std::move(before));
    }
    rows.push_back(arm);
  }
  return rows;
}

Table comparison_table(const std::vector<ArmSummary>& arms) {
  const auto ptq = std::find_if(arms.begin(), arms.end(), [](const ArmSummary& arm) { return arm.kind == "ptq"; });
  const double ptq_kl = ptq != arms.end() ? ptq->eval.kl_mean : EvalFigures::kNone;
  struct Figure {
    std::string title;
    std::function<std::string(const ArmSummary&)> cell;
    std::function<double(const ArmSummary&)> value;  // a column whose value no arm has is left out
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
    std::vector<std::string> cells = {marked_name(arm)};
    for (const Figure* figure : shown) cells.push_back(figure->cell(arm));
    table.add_row(std::move(cells));
  }
  return table;
}

Table candidates_table(const std::vector<ArmSummary>& arms) {
  Table table({{"", Align::left}, {"learning rate"}, {"KL to teacher"}, {"cross-entropy"}, {"best step"}, {"chosen"}});
  for (const ArmSummary& arm : arms)
    for (const CandidateSummary& one : arm.candidates)
      table.add_row({one.name, format_significant(one.lr), format_with_error(one.eval.kl_mean, one.eval.kl_mean_stderr),
                     format_with_error(one.eval.cross_entropy, one.eval.cross_entropy_stderr),
                     diverged(one.end) ? "diverged" : std::to_string(one.best_step),
                     one.folders == arm.folders ? "yes" : ""});
  return table;
}

std::string token_note(const std::vector<ArmSummary>& arms) {
  std::vector<std::string> counts;
  std::int64_t of_qat = 0, of_qad = 0;
  for (const ArmSummary& arm : arms) {
    if (arm.steps == 0 || arm.tokens == 0 || !has_ended(arm)) continue;
    counts.push_back(fmt::format("{} {}", arm.name, format_count(static_cast<double>(arm.tokens))));
    if (arm.kind == "qat") of_qat = arm.tokens;
    if (arm.kind == "qad") of_qad = arm.tokens;
  }
  if (of_qat == 0 || of_qad == 0 || of_qat == of_qad) return "";
  return fmt::format(
      "Tokens trained on: {}. Of the same text, distillation (qad) counts every token, cross-entropy (qat) only those "
      "with a next token to be predicted: not the last one of a sequence's part of a document, nor those before a "
      "token of a prompt",
      fmt::join(counts, ", "));
}

std::vector<std::string> warnings_of(const std::vector<ArmSummary>& arms) {
  std::vector<std::string> warnings;
  for (const ArmSummary& arm : arms) {
    if (diverged(arm.end)) warnings.push_back(fmt::format("{} diverged: {}; lower train.lr", arm.name, arm.reason));
    else if (did_not_help(arm))
      warnings.push_back(
          fmt::format("{}: no evaluation was better than that of the student before training, which is what is shown "
                      "and exported (step 0); lower train.lr, or train longer",
                      arm.name));
  }
  return warnings;
}

std::vector<ProblemRow> problem_rows(const std::vector<ArmSummary>& arms) {
  std::vector<ProblemRow> rows;
  for (const ArmSummary& arm : arms) rows.emplace_back(arm.name, arm.problems);
  return rows;
}

}  // namespace qad
