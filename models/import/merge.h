// The recipe's `merge` section, and what it says: models of one architecture averaged tensor by tensor (Wortsman et
// al., "Model soups", ICML 2022).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "autograd/base/fields.h"
#include "models/language_model.h"

namespace qad {

struct MergedModelConfig {
  std::string model;
  double weight = 1.0;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"model", "folder with config.json and safetensors"}.path().required(), model);
    visit(Field{"weight", "its share of the average, over the sum of all weights"}.above(0), weight);
  }
};

struct MergeConfig {
  std::vector<MergedModelConfig> models;

  template <class Visitor>
  void visit_fields(Visitor&& visit) {
    visit(Field{"models", "two or more models of one architecture"}.required(), models);
  }
};

/// A model to train (FP32) whose every value is Σ weight·value / Σ weight, summed in double in the order of the list,
/// so that equal models give their own values back. Throws Error, naming folder and key or tensor, for a model that
/// differs from the first in architecture.
[[nodiscard]] std::unique_ptr<LanguageModel> merge_models(const MergeConfig& config);

}  // namespace qad
