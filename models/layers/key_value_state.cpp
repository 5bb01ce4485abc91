#include "models/layers/key_value_state.h"

namespace qad {

void KeyValueState::copy(std::int64_t from, std::int64_t to, std::int64_t tokens) {
  for (const Tensor& part : {keys, values})
    part.slice(to * capacity_, to * capacity_ + tokens)
        .copy_from(part.slice(from * capacity_, from * capacity_ + tokens));
}

std::vector<std::int64_t> KeyValueState::rows(const std::vector<SequencePart>& parts) const {
  std::vector<std::int64_t> rows;
  for (const SequencePart& part : parts)
    for (std::int64_t t = 0; t < part.end - part.begin; ++t) rows.push_back(part.slot * capacity_ + part.cached + t);
  return rows;
}

Segments KeyValueState::segments(const std::vector<SequencePart>& parts) const {
  Segments segments;
  for (const SequencePart& part : parts) {
    const std::int64_t first = part.slot * capacity_;
    segments.push_back({part.begin, part.end, first, first + part.cached + part.end - part.begin});
  }
  return segments;
}

Segments segments_within_batch(const std::vector<SequencePart>& parts) {
  Segments segments;
  for (const SequencePart& part : parts) segments.push_back({part.begin, part.end, part.begin, part.end});
  return segments;
}

}  // namespace qad
