// A table of text cells and its rendering for a terminal. The HTML report renders the same tables (html_report.h).
#pragma once

#include <span>
#include <string>
#include <vector>

namespace qad {

enum class Align { left, right };

struct Column {
  std::string title;
  Align align = Align::right;
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// One cell a column.
  void add_row(std::vector<std::string> cells);

  [[nodiscard]] std::span<const Column> columns() const { return columns_; }
  [[nodiscard]] std::span<const std::vector<std::string>> rows() const { return rows_; }

  /// Title line, rule, rows; aligned by display width, two spaces between columns, each line ends in '\n'.
  [[nodiscard]] std::string text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace qad
