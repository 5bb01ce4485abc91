#include "qad/verbs/import.h"

#include <iostream>

#include "qad/cli/command_line.h"
#include "qad/cli/verbs.h"

namespace qad::cli {

ExitCode import_verb(const Verb& self, Arguments arguments) {
  verbs::ImportOptions options;
  CommandLine line(self.name, self.summary, std::move(arguments));
  line.positional("FORMAT", "llama2c", options.format)
      .positional("MODEL", "model.bin", options.model)
      .required("tokenizer", "FILE", "tok.bin", options.tokenizer)
      .required("out", "DIR", "where to write, new or empty", options.out);
  if (!line.parse()) return ExitCode::done;
  return verbs::import_model(options, std::cout);
}

}  // namespace qad::cli
