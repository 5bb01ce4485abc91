// A guard for what is exported without the model's own forward: where no text is needed to find scales, or blocks are
// quantized one by one, nothing else would notice that it overflows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "models/import/streamed_model.h"

namespace qad {

/// Runs a model, as it is in its folder, on a few tokens, one part in memory at a time.
class ForwardCheck {
 public:
  ForwardCheck(const std::filesystem::path& folder, WeightType type);

  /// A value that was just read for something else: it need not be read again for the part that it is of.
  void lend(const Parameter& parameter);
  /// The parts up to and with this one that did not run yet. NotFinite names the first block that gives such values.
  void run_through(std::size_t part);
  /// Final norm and head alone, on the first of these states, [T, C]. NotFinite, as above.
  void run_behind(const Tensor& x_TC);
  /// The most that a part takes, in bytes.
  [[nodiscard]] std::uint64_t memory();

 private:
  StreamedModel source_;
  std::map<std::string, Parameter*> parameters_;
  TokenBatch tokens_;
  Tensor x_TC_;
  std::size_t next_ = 0;
};

}  // namespace qad
