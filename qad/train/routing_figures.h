// Which experts held-out tokens go to, and whether the teacher sends them there too.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "models/routing.h"
#include "qad/checkpoint/figures.h"
#include "qad/train/document_statistics.h"

namespace qad {

class RoutingFigures {
 public:
  /// Of each layer of experts, those of each token [T·k] (Routing::experts).
  using Choices = std::vector<std::shared_ptr<const std::vector<std::int32_t>>>;

  /// Of layers of the student. They agree or not with a teacher that has as many, with as many experts.
  RoutingFigures(LanguageModel& student, LanguageModel* teacher);

  /// The batch's valid tokens. For a token whose experts are K, and K' its teacher's, agreement is |K ∩ K'|/k.
  void add(const TokenBatch& batch, const Choices& student, const Choices& teacher);
  [[nodiscard]] std::vector<LayerRouting> layers() const;
  /// Into the figures that say it in short.
  void sum_up(EvalFigures& figures) const;

 private:
  struct Layer {
    std::string name;
    std::int64_t experts_per_token;
    std::vector<std::int64_t> tokens;  // of each expert
    DocumentMean agreement;
  };
  bool compares_ = false;
  std::vector<Layer> layers_;
  DocumentMean agreement_;  // a token's mean over layers
};

}  // namespace qad
