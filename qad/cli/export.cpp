#include "qad/verbs/export.h"

#include <iostream>

#include "qad/cli/command_line.h"
#include "qad/cli/verbs.h"

namespace qad::cli {

ExitCode export_verb(CommandLine& line) {
  verbs::ExportOptions options;
  line.positional("DIR", "a run's folder", options.run)
      .required("format", "modelopt|compressed_tensors|dense|gguf|bitsandbytes", "layout on disk", options.format)
      .required("out", "DIR", "where to write: new, empty, or an earlier export of this run", options.out)
      .option("checkpoint", "best|last", "which checkpoint of the run", options.checkpoint)
      .option("shard-bytes", "N", "most bytes in one safetensors file", options.shard_bytes);
  if (!line.parse()) return ExitCode::done;
  return verbs::export_model(options, std::cout);
}

}  // namespace qad::cli
