#include "qad/report/quantizer_text.h"

#include "qad/report/format.h"
#include "qad/report/table.h"

namespace qad {

std::string text_of(const std::vector<QuantizerTableRow>& rows) {
  Table table({{"layers", Align::left},
               {"count"},
               {"shape", Align::left},
               {"weights", Align::left},
               {"inputs", Align::left},
               {"bits a weight"}});
  for (const QuantizerTableRow& row : rows)
    table.add_row({row.layers, std::to_string(row.count), row.shape.rank() > 0 ? row.shape.text() : "", row.weights,
                   row.inputs, format_significant(row.bits_per_weight)});
  return table.text();
}

}  // namespace qad
