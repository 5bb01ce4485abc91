#include "qad/verbs/import.h"

#include <iostream>

#include "qad/cli/command_line.h"
#include "qad/cli/verbs.h"

namespace qad::cli {

ExitCode import_verb(CommandLine& line) {
  verbs::ImportOptions options;
  line.positional("llama2c", "the layout: that of llama2.c, FP32", options.format)
      .positional("MODEL", "model.bin", options.model)
      .required("tokenizer", "FILE", "tok.bin", options.tokenizer)
      .required("out", "DIR", "where to write, new or empty", options.out);
  if (!line.parse()) return ExitCode::done;
  return verbs::import_model(options, std::cout);
}

}  // namespace qad::cli
