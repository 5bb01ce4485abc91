// `qad eval`: held-out metrics of a student against its teacher.
#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "autograd/base/error.h"
#include "autograd/core/precision.h"
#include "qad/quant/decode_head.h"
#include "qad/run/checkpoint_choice.h"

namespace qad::verbs {

/// What is not given is taken from the run's recipe; for a model folder from the defaults of the recipe's `data`
/// section.
struct EvalOptions {
  std::filesystem::path target;  ///< a run's folder, or a model folder (an export, say, or its model.gguf)
  CheckpointChoice checkpoint = CheckpointChoice::best;  ///< of a run's folder
  std::optional<std::filesystem::path> teacher;          ///< model folder; a model without teacher gets no KL
  std::optional<std::filesystem::path> data;             ///< .txt or any text, .jsonl, .h5, or a pattern
  std::vector<std::string> overrides;                    ///< of a run's held-out text: data.eval.key=value
  std::optional<std::string> separator;                  ///< between the documents of a text
  std::optional<std::string> field;                      ///< the text's key in JSON lines
  std::optional<std::int64_t> sequence_length;
  std::optional<std::int64_t> tokens;           ///< at most
  std::optional<std::int64_t> problems;         ///< of each family to be answered, instead of reading text
  std::optional<std::filesystem::path> logits;  ///< safetensors to write: ids, begins, logits (write_logits.h)
  Precision compute = Precision::fp32;          ///< of the models that are named here; a run's are as its recipe says
  DecodeConfig decode{};                        ///< the model writes and is read with this head
  bool json = false;                            ///< one object as in metrics.jsonl instead of the table
};

ExitCode eval(const EvalOptions& options, std::ostream& print);

}  // namespace qad::verbs
