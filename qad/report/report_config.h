// What a run leaves for people to look at, beside metrics.jsonl and report.html.
#pragma once

#include "autograd/base/fields.h"

namespace qad {

struct ReportConfig {
  bool tensorboard = false;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"tensorboard", "the numbers of metrics.jsonl as a TensorBoard event file, too"}.changeable(),
          tensorboard);
  }
};

}  // namespace qad
