// `qad export`: a run's student as a Hugging Face folder, read back and compared before it counts as done.
#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>

#include "autograd/base/error.h"
#include "qad/run/checkpoint_choice.h"

namespace qad::verbs {

struct ExportOptions {
  std::filesystem::path run;  ///< the run's folder
  std::string format;         ///< a name from the exporters' table; an unknown one is answered with the known ones
  std::filesystem::path out;  ///< new or empty, or with an earlier export of this run
  CheckpointChoice checkpoint = CheckpointChoice::best;
  std::optional<std::int64_t> shard_bytes;  ///< a safetensors file holds at most this much; default: the exporter's
};

ExitCode export_model(const ExportOptions& options, std::ostream& print);

}  // namespace qad::verbs
