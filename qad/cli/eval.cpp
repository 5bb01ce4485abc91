#include "qad/verbs/eval.h"

#include <iostream>

#include "autograd/base/interrupt.h"
#include "qad/cli/command_line.h"
#include "qad/cli/verbs.h"

namespace qad::cli {

ExitCode eval_verb(CommandLine& line) {
  verbs::EvalOptions options;
  line.positional("DIR|MODEL", "a run's folder, or a model folder such as an export, or its model.gguf", options.target)
      .overrides(options.overrides)
      .option("data", "FILE",
              "held-out text, perhaps .gz or .zst: .jsonl, .h5 with token ids, or plain text (default: the run's)",
              options.data)
      .option("teacher", "MODEL", "model folder to compare with (default: the run's)", options.teacher)
      .option("checkpoint", "best|last", "which checkpoint of a run", options.checkpoint)
      .option("separator", "TEXT", "what stands between the documents of a text", options.separator)
      .option("field", "NAME", "the key of the text in .jsonl", options.field)
      .option("sequence-length", "N", "most tokens in a sequence", options.sequence_length)
      .option("tokens", "N", "use this many tokens at most", options.tokens)
      .option("problems", "N", "answer N problems of each family instead of reading text", options.problems)
      .option(
          "compute", "fp32|bf16",
          "numbers of products with inputs that are not quantized, of a model folder and of --teacher (default: fp32)",
          options.compute)
      .option("head", "bf16|fp8|nvfp4", "format of the head (default: as the model has it); says what that changes",
              options.decode.head)
      .option("logits", "FILE", "also write the logits of every token, as safetensors, to hold another program against",
              options.logits)
      .option("json", "", "print one JSON object instead of the table (names as in summary.json)", options.json);
  if (!line.parse()) return ExitCode::done;
  if (!options.logits) leave_when_stopped();
  return verbs::eval(options, std::cout);
}

}  // namespace qad::cli
