// A guard for what is exported without a forward: where no text is needed to find scales, nothing else would notice
// that the model's own forward overflows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "models/import/streamed_model.h"

namespace qad {

/// What a part of a model computes with, in the order that PartsInTurn has them: the embedding, each block, what is
/// behind them. A head that shares the embedding's weight is of part 0.
[[nodiscard]] std::vector<Parameter*> parameters_of_part(LanguageModel& model, std::size_t part);

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
