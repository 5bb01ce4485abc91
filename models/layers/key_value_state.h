// What an attention layer remembers: the keys and values of every token, as attention reads them.
#pragma once

#include <vector>

#include "autograd/ops/attention.h"
#include "models/layer.h"

namespace qad {

using Segments = std::vector<kernels::AttentionSegment>;

/// Row slot·capacity + position of both is that of a token.
class KeyValueState final : public LayerState {
 public:
  KeyValueState(std::int64_t slots, std::int64_t capacity, std::int64_t width)
      : keys(Shape{slots * capacity, width}), values(Shape{slots * capacity, width}), capacity_(capacity) {}

  void copy(std::int64_t from, std::int64_t to, std::int64_t tokens) override;
  void cut(std::int64_t /*slot*/, std::int64_t /*tokens*/) override {}  // rows behind a sequence's end are never read
  [[nodiscard]] std::size_t bytes() const override { return keys.bytes() + values.bytes(); }

  /// Where the new tokens of a batch go.
  [[nodiscard]] std::vector<std::int64_t> rows(const std::vector<SequencePart>& parts) const;
  /// Which rows each of them sees.
  [[nodiscard]] Segments segments(const std::vector<SequencePart>& parts) const;

  Tensor keys, values;

 private:
  std::int64_t capacity_;
};

/// Of a forward that remembers nothing.
[[nodiscard]] Segments segments_within_batch(const std::vector<SequencePart>& parts);

}  // namespace qad
