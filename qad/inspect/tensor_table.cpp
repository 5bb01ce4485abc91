#include "qad/inspect/tensor_table.h"

#include <array>
#include <map>

#include "qad/quant/policy.h"
#include "qad/report/format.h"

namespace qad {

TensorLine tensor_line(const SafetensorsInfo& info) {
  TensorLine line{info.name, info.dtype, "[", 1, static_cast<std::int64_t>(info.bytes())};
  for (std::size_t axis = 0; axis < info.shape.size(); ++axis) {
    line.shape += (axis == 0 ? "" : ", ") + std::to_string(info.shape[axis]);
    line.elements *= info.shape[axis];
  }
  line.shape += "]";
  return line;
}

Table tensor_table(const std::vector<TensorLine>& tensors) {
  struct Row {
    TensorLine line;
    std::int64_t count;
  };
  std::vector<Row> rows;
  std::map<std::array<std::string, 3>, std::size_t> row_of;  // by what makes two tensors alike
  for (TensorLine line : tensors) {
    line.name = pattern_of(line.name);
    const auto [place, is_new] = row_of.try_emplace({line.name, line.dtype, line.shape}, rows.size());
    if (is_new) rows.push_back({line, 1});
    else {
      ++rows[place->second].count;
      rows[place->second].line.bytes += line.bytes;
    }
  }
  Table table({{"tensor", Align::left}, {"count"}, {"dtype", Align::left}, {"shape", Align::left}, {"bytes"}});
  for (const auto& [line, count] : rows)
    table.add_row({line.name, std::to_string(count), line.dtype, line.shape, format_bytes(line.bytes)});
  return table;
}

Table dtype_table(const std::vector<TensorLine>& tensors) {
  struct Sum {
    std::int64_t tensors = 0, elements = 0, bytes = 0;
    void add(const TensorLine& line) { ++tensors, elements += line.elements, bytes += line.bytes; }
  };
  std::map<std::string, Sum> sums;
  Sum all;
  for (const TensorLine& line : tensors) {
    sums[line.dtype].add(line);
    all.add(line);
  }
  Table table({{"dtype", Align::left}, {"tensors"}, {"elements"}, {"bytes"}});
  const auto add_row = [&](const std::string& name, const Sum& sum) {
    table.add_row({name, std::to_string(sum.tensors), std::to_string(sum.elements), format_bytes(sum.bytes)});
  };
  for (const auto& [dtype, sum] : sums) add_row(dtype, sum);
  if (sums.size() > 1) add_row("all", all);
  return table;
}

}  // namespace qad
