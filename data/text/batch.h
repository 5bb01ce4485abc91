// What a step of a model sees of the text: the tokens of several document pieces, one after the other, without padding.
// How they are chosen is the loader's part; what is done with them the model's and the loss's.
#pragma once

#include <cstdint>
#include <vector>

namespace qad {

/// Tokens [begin, end) of a batch that belong together: attention never leaves a segment, and positions start at 0 in
/// it.
struct Segment {
  std::int32_t begin = 0, end = 0;
  friend bool operator==(const Segment&, const Segment&) = default;
};

/// A label that does not count.
inline constexpr std::int32_t kNoLabel = -1;

/// Segments lie end to end: the first begins at token 0, the last ends at size().
struct TokenBatch {
  std::vector<std::int32_t> ids;        ///< [tokens]
  std::vector<std::int32_t> positions;  ///< [tokens]: place within the segment, for the rotary embedding
  std::vector<std::int32_t> labels;     ///< [tokens]: the next token of the segment; kNoLabel at its end or if masked
  std::vector<std::uint8_t> valid;      ///< [tokens]: 1 where the token counts in the distillation loss
  std::vector<Segment> segments;
  std::vector<std::int64_t> document;  ///< [segments]: what statistics over documents group by

  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(ids.size()); }
};

}  // namespace qad
