#include "data/packing.h"

#include <algorithm>
#include <numeric>

#include "autograd/core/error.h"

namespace qad {

PackedSequences::PackedSequences(Documents documents, Packing packing, std::int64_t sequence_length)
    : documents_(std::move(documents)) {
  QAD_ASSERT(sequence_length > 0);
  if (packing == Packing::documents) pack_documents(sequence_length);
  else pack_windows(sequence_length);
  first_segment_.push_back(static_cast<std::int64_t>(segments_.size()));
  if (count() == 0)
    throw Error({documents_.source, "text for a sequence of " + std::to_string(sequence_length) + " tokens",
                 std::to_string(documents_.tokens()) + " tokens", "give more text or a smaller sequence_length"});
}

void PackedSequences::pack_documents(std::int64_t sequence_length) {
  std::int64_t room = 0;
  for (std::int64_t document = 0; document < documents_.count(); ++document) {
    const auto i = static_cast<std::size_t>(document);
    const std::int64_t document_end = documents_.offsets[i + 1];
    for (std::int64_t begin = documents_.offsets[i]; begin < document_end;) {
      const std::int64_t end = std::min(begin + sequence_length, document_end);
      if (end - begin > room) {
        first_segment_.push_back(static_cast<std::int64_t>(segments_.size()));
        room = sequence_length;
      }
      segments_.push_back({begin, end, document});
      room -= end - begin;
      begin = end;
    }
  }
}

void PackedSequences::pack_windows(std::int64_t sequence_length) {
  for (std::int64_t window = 0; window < documents_.tokens() / sequence_length; ++window) {
    first_segment_.push_back(window);
    segments_.push_back({window * sequence_length, (window + 1) * sequence_length, window});
  }
}

std::int64_t PackedSequences::tokens() const {
  return std::accumulate(segments_.begin(), segments_.end(), std::int64_t{0},
                         [](std::int64_t sum, const SegmentSource& s) { return sum + s.end - s.begin; });
}

TokenBatch PackedSequences::batch(std::span<const std::int64_t> sequences) const {
  TokenBatch batch;
  for (const std::int64_t sequence : sequences) {
    QAD_ASSERT(sequence >= 0 && sequence < count());
    const auto i = static_cast<std::size_t>(sequence);
    for (std::int64_t s = first_segment_[i]; s < first_segment_[i + 1]; ++s)
      append(segments_[static_cast<std::size_t>(s)], batch);
  }
  return batch;
}

TokenBatch PackedSequences::batch(std::int64_t begin, std::int64_t end) const {
  std::vector<std::int64_t> sequences(
      static_cast<std::size_t>(std::max<std::int64_t>(0, std::min(end, count()) - begin)));
  std::iota(sequences.begin(), sequences.end(), begin);
  return batch(sequences);
}

bool PackedSequences::has_labels() const {
  return std::ranges::any_of(segments_, [&](const SegmentSource& segment) {
    for (std::int64_t token = segment.begin; token < segment.end; ++token)
      if (label_of(token, segment) != kNoLabel) return true;
    return false;
  });
}

std::int32_t PackedSequences::label_of(std::int64_t token, const SegmentSource& segment) const {
  const auto next = static_cast<std::size_t>(token + 1);
  const bool counts = token + 1 < segment.end && (documents_.mask.empty() || documents_.mask[next] != 0);
  return counts ? documents_.ids[next] : kNoLabel;
}

void PackedSequences::append(const SegmentSource& segment, TokenBatch& batch) const {
  const auto first = static_cast<std::int32_t>(batch.size());
  for (std::int64_t token = segment.begin; token < segment.end; ++token) {
    batch.ids.push_back(documents_.ids[static_cast<std::size_t>(token)]);
    batch.positions.push_back(static_cast<std::int32_t>(token - segment.begin));
    batch.labels.push_back(label_of(token, segment));
    batch.valid.push_back(1);
  }
  batch.segments.push_back({first, static_cast<std::int32_t>(batch.size())});
  batch.document.push_back(segment.document);
}

}  // namespace qad
