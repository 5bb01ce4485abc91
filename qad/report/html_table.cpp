#include "qad/report/html_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "qad/report/svg_chart.h"

namespace qad {
namespace {

// Below which width of the window rows become cards.
std::string_view cards_class(std::size_t columns) {
  if (columns <= 3) return "";
  if (columns <= 8) return "cards-600";
  return columns <= 12 ? "cards-980" : "cards";
}

// "right→wrong" may go on below its arrow.
std::string title_cell(const std::string& title) {
  std::string html = escape_html(title);
  constexpr std::string_view kArrow = "→";
  if (const auto at = html.find(kArrow); at != std::string::npos) html.insert(at + kArrow.size(), "<wbr>");
  return html;
}

// "0.13 ± 0.01", "93.4 ± 0.2 %", "71.2 (67.4…74.9)": what is behind the figure goes below it.
std::string figure_cell(const std::string& cell) {
  const std::size_t at = std::min(cell.find(" ± "), cell.find(" ("));
  if (at == std::string::npos) return escape_html(cell);
  std::string figure = cell.substr(0, at), behind = cell.substr(at + 1);
  if (constexpr std::string_view kUnit = " %"; behind.ends_with(kUnit)) {
    figure += kUnit;
    behind.resize(behind.size() - kUnit.size());
  }
  return fmt::format("{}<small>{}</small>", escape_html(figure), escape_html(behind));
}

}  // namespace

std::string html_table(const Table& table, const std::vector<int>& colours, std::size_t best_row) {
  const auto side = [&](std::size_t c) { return table.columns()[c].align == Align::left ? "left" : "right"; };
  std::string out =
      fmt::format("<div class=\"scroll\"><table class=\"{}\">\n<thead><tr>", cards_class(table.columns().size()));
  for (std::size_t c = 0; c < table.columns().size(); ++c)
    out += fmt::format("<th scope=\"col\" class=\"{}\">{}</th>", side(c), title_cell(table.columns()[c].title));
  out += "</tr></thead>\n<tbody>\n";
  for (std::size_t r = 0; r < table.rows().size(); ++r) {
    out += r == best_row ? "<tr class=\"best\">" : "<tr>";
    const std::vector<std::string>& cells = table.rows()[r];
    const std::string dot = colours.empty() ? "" : fmt::format("<span class=\"dot c{}\"></span>", colours[r]);
    out += fmt::format("<th scope=\"row\" class=\"{}\">{}{}</th>", side(0), dot, escape_html(cells[0]));
    for (std::size_t c = 1; c < cells.size(); ++c) {
      const bool is_figure = table.columns()[c].align == Align::right;
      out += fmt::format("<td class=\"{}\" data-title=\"{}\">{}</td>", side(c), escape_html(table.columns()[c].title),
                         is_figure ? figure_cell(cells[c]) : escape_html(cells[c]));
    }
    out += "</tr>\n";
  }
  return out + "</tbody>\n</table></div>\n";
}

}  // namespace qad
