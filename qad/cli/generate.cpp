#include "qad/verbs/generate.h"

#include <iostream>

#include "autograd/base/interrupt.h"
#include "qad/cli/command_line.h"
#include "qad/cli/verbs.h"

namespace qad::cli {

ExitCode generate_verb(CommandLine& line) {
  verbs::GenerateOptions options;
  line.positional("DIR|MODEL", "a run's folder, a model folder or an export's model.gguf", options.target)
      .option("prompt", "TEXT", "begin with this text, or - for standard input (default: at the start token)",
              options.prompt)
      .option("prompt-file", "FILE", "begin with the text of this file", options.prompt_file)
      .option("chat", "", "the text is a question, for the model's chat template", options.chat)
      .option("speaker", "student|teacher", "who of a run writes", options.speaker)
      .option("checkpoint", "best|last", "which checkpoint of a run", options.checkpoint)
      .option("max-tokens", "N", "new tokens at most", options.max_tokens)
      .option("temperature", "T", "of the sampling; 0 is greedy, the default if generation_config.json doesn't sample",
              options.temperature)
      .option("top-k", "N", "sample from the N likeliest tokens; 0: all", options.top_k)
      .option("top-p", "P", "sample from the likeliest tokens that sum to P", options.top_p)
      .option("seed", "N", "of the sampling", options.seed)
      .option("head", "bf16|fp8|nvfp4", "format of the head (default: as the model has it); says what that changes",
              options.decode.head);
  if (!line.parse()) return ExitCode::done;
  leave_when_stopped();
  return verbs::generate(options, std::cout);
}

}  // namespace qad::cli
