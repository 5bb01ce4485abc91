#include "qad/report/problem_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "qad/report/format.h"

namespace qad {
namespace {

// 0.712, 0.674, 0.749 -> "71.2 (67.4…74.9)"
std::string with_interval(double share, double low, double high, int digits) {
  if (std::isnan(share)) return "–";
  const std::string value = format_fixed(100.0 * share, digits);
  if (std::isnan(low)) return value;
  return fmt::format("{} ({}…{})", value, format_fixed(100.0 * low, digits), format_fixed(100.0 * high, digits));
}

std::string exact_match(const ProblemFigures& figures) {
  return with_interval(figures.exact_match, figures.exact_match_low, figures.exact_match_high, 1);
}

struct Figure {
  std::string title;
  std::function<std::string(const ProblemFigures&)> cell;
  double ProblemFigures::*value;  // a column that no row has is left out
};

const std::vector<Figure>& figures_of_mean() {
  static const std::vector<Figure> figures = {
      {"mean", exact_match, &ProblemFigures::exact_match},
      {"won back",
       [](const auto& mean) { return with_interval(mean.recovered, mean.recovered_low, mean.recovered_high, 0); },
       &ProblemFigures::recovered},
      {"greedy", [](const auto& mean) { return with_interval(mean.greedy, mean.greedy_low, mean.greedy_high, 1); },
       &ProblemFigures::greedy},
      {"right→wrong", [](const auto& mean) { return format_fixed(100.0 * mean.right_to_wrong, 1); },
       &ProblemFigures::right_to_wrong},
      {"wrong→right", [](const auto& mean) { return format_fixed(100.0 * mean.wrong_to_right, 1); },
       &ProblemFigures::wrong_to_right},
      {"tokens", [](const auto& mean) { return format_fixed(mean.mean_tokens, 1); }, &ProblemFigures::mean_tokens},
      {"cut", [](const auto& mean) { return format_fixed(100.0 * mean.cut, 1); }, &ProblemFigures::cut},
  };
  return figures;
}

const ProblemResults* first_measured(const std::vector<ProblemRow>& rows) {
  for (const ProblemRow& row : rows)
    if (row.second.measured()) return &row.second;
  return nullptr;
}

}  // namespace

Table problem_table(const std::vector<ProblemRow>& rows) {
  std::vector<Column> columns = {{"", Align::left}};
  const ProblemResults* first = first_measured(rows);
  if (first != nullptr)
    for (const ProblemResults::Family& family : first->families) columns.push_back({family.name});
  std::vector<const Figure*> shown;
  for (const Figure& figure : figures_of_mean()) {
    const auto has = [&](const ProblemRow& row) { return !std::isnan(row.second.mean.*figure.value); };
    if (!std::ranges::any_of(rows, has)) continue;
    columns.push_back({figure.title});
    shown.push_back(&figure);
  }
  Table table(std::move(columns));
  for (const auto& [name, results] : rows) {
    if (!results.measured()) continue;
    std::vector<std::string> cells = {name};
    for (const ProblemResults::Family& family : first->families) {
      const auto own = std::ranges::find(results.families, family.name, &ProblemResults::Family::name);
      cells.push_back(own != results.families.end() ? exact_match(own->figures) : "–");
    }
    for (const Figure* figure : shown) cells.push_back(figure->cell(results.mean));
    table.add_row(std::move(cells));
  }
  return table;
}

std::string problem_note(const std::vector<ProblemRow>& rows) {
  const ProblemResults* first = first_measured(rows);
  if (first == nullptr) return "";
  return fmt::format("exact match in %, {} problems; in brackets 95 % intervals over problems", first->mean.problems);
}

}  // namespace qad
