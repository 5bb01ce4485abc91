#include "qad/verbs/quantize.h"

#include <fmt/format.h>

#include <iostream>

#include "qad/cli/command_line.h"
#include "qad/cli/verbs.h"

namespace qad::cli {

ExitCode quantize_verb(CommandLine& line) {
  verbs::QuantizeOptions options;
  line.positional("MODEL", "a model's folder: config.json and safetensors", options.model)
      .overrides(options.overrides)
      .required(
          "preset", "PRESET",
          "what becomes of which layers: a name below presets/, or a recipe; one that quantizes inputs also takes "
          "calibrate.source.text=FILE",
          options.preset)
      .required("out", "DIR", "where to write: new, empty, or what the same command left half done", options.out)
      .option("layout", "modelopt|compressed_tensors|gguf|bitsandbytes", "layout on disk", options.layout);
  if (!line.parse()) return ExitCode::done;
  if (line.threads() > 0) options.overrides.push_back(fmt::format("threads={}", line.threads()));
  return verbs::quantize(options, std::cout);
}

}  // namespace qad::cli
