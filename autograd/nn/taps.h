// Slots' contents that look at what comes by and change nothing: what is in the slot already stands behind them.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "autograd/tape/operand_transform.h"

namespace qad {

/// Of a group's slot: its input, before what is behind transforms it.
class InputTap final : public OperandTransform {
 public:
  using See = std::function<void(const Tensor& x)>;
  InputTap(TransformSlot behind, See see) : behind_(std::move(behind)), see_(std::move(see)) {}
  [[nodiscard]] TransformResult apply(const Tensor& x, std::uint64_t version, Readers readers) override;

 private:
  TransformSlot behind_;
  See see_;
};

/// Of a weight's slot: each input [rows, in] that it multiplies, and the product [rows, out]. Which of a group's tokens
/// go to an expert only this tells.
class ProductTap final : public OperandTransform {
 public:
  using See = std::function<void(const Tensor& x, const float* product)>;
  ProductTap(TransformSlot behind, See see) : behind_(std::move(behind)), see_(std::move(see)) {}
  [[nodiscard]] TransformResult apply(const Tensor& x, std::uint64_t version, Readers readers) override;

 private:
  TransformSlot behind_;
  See see_;
};

/// Puts taps before what slots hold; its end takes them out again.
class Taps {
 public:
  Taps() = default;
  ~Taps();
  Taps(const Taps&) = delete;
  Taps& operator=(const Taps&) = delete;

  template <class Tap>
  void add(TransformSlot& slot, typename Tap::See see) {
    before_.emplace_back(&slot, slot);
    slot = std::make_shared<Tap>(slot, std::move(see));
  }

 private:
  std::vector<std::pair<TransformSlot*, TransformSlot>> before_;
};

}  // namespace qad
