// `qad quantize`: a model's folder becomes an export, part by part, with no model in memory.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

#include "autograd/base/error.h"

namespace qad::verbs {

struct QuantizeOptions {
  std::filesystem::path model;
  std::filesystem::path preset;  ///< a name below presets/ in the catalogue, or any recipe or part of one
  std::filesystem::path out;     ///< new or empty, or with what the same command left half done
  std::string layout = "modelopt";
  std::vector<std::string> overrides;  ///< `a.b=c`, later wins
};

/// The same command goes on where it was stopped or killed. Returns interrupted when a signal stopped it.
ExitCode quantize(const QuantizeOptions& options, std::ostream& print);

}  // namespace qad::verbs
