// Which of a model's parameters and groups of linear layers are what, as pruning has to know: whose input tells how
// much a unit matters, and which rows and columns are its.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "models/language_model.h"
#include "models/routing.h"

namespace qad {

/// A norm of the residual stream and the first group of linear layers that reads what it gives.
struct NormAnatomy {
  ParameterPointer norm;
  LinearGroup* reader = nullptr;
};

/// Units between what reads the residual stream (or the tokens of an expert) and what writes to it.
struct FeedForwardAnatomy {
  LinearGroup* inputs = nullptr;
  LinearGroup* down = nullptr;
};

struct ExpertsAnatomy {
  RoutedExperts* shown = nullptr;
  ParameterPointer router;
  LinearGroup* latent_in = nullptr;  ///< with latent_out, or null
  LinearGroup* latent_out = nullptr;
  FeedForwardAnatomy routed;
  std::optional<FeedForwardAnatomy> shared;
  ParameterPointer shared_gate;  ///< or null
};

struct MambaAnatomy {
  LinearGroup* in = nullptr;
  LinearGroup* out = nullptr;
  ParameterPointer taps, tap_bias;  ///< of the convolution; the bias may be null
  std::vector<ParameterPointer> by_head;
  ParameterPointer norm;
};

/// A block has one of each at most; what is none of them is not cut.
struct BlockAnatomy {
  std::string name;
  std::vector<NormAnatomy> norms;
  SelfAttention* attention = nullptr;
  std::optional<FeedForwardAnatomy> feed_forward;
  std::optional<ExpertsAnatomy> experts;
  std::optional<MambaAnatomy> mamba;
};

/// In the order of the model, which must outlive it.
[[nodiscard]] std::vector<BlockAnatomy> anatomy_of(LanguageModel& model);

}  // namespace qad
