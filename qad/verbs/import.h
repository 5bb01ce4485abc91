// `qad import`: a foreign layout as a Hugging Face folder that every other verb reads.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <string>

#include "autograd/base/error.h"

namespace qad::verbs {

struct ImportOptions {
  std::string format;               ///< `llama2c`: Karpathy's llama2.c, FP32
  std::filesystem::path model;      ///< model.bin
  std::filesystem::path tokenizer;  ///< tok.bin
  std::filesystem::path out;        ///< new or empty
};

ExitCode import_model(const ImportOptions& options, std::ostream& print);

}  // namespace qad::verbs
