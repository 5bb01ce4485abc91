#include "data/text/packing.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "autograd/base/error.h"
#include "data/files/hash.h"

namespace qad {
namespace {

constexpr double kMostInEpoch = 1 << 26;  // the order of an epoch is a list in memory

std::int64_t tokens_between(const Documents& documents, std::int64_t begin, std::int64_t end) {
  return documents.offsets[static_cast<std::size_t>(end)] - documents.offsets[static_cast<std::size_t>(begin)];
}

}  // namespace

PackedSequences::PackedSequences(Documents documents, Packing packing, std::int64_t sequence_length)
    : documents_(std::move(documents)) {
  QAD_ASSERT(sequence_length > 0);
  std::vector<DocumentsPart> parts = documents_.parts;
  if (parts.empty()) parts.push_back({documents_.count(), 1.0, documents_.source});
  for (std::int64_t begin = 0; const auto& [end, weight, source] : parts) {
    const auto first = static_cast<std::int64_t>(first_segment_.size());
    if (packing == Packing::documents) pack_documents(begin, end, sequence_length);
    else pack_windows(begin, end, sequence_length);
    const auto last = static_cast<std::int64_t>(first_segment_.size());
    if (first == last)
      throw Error({.who = source,
                   .expected = "text for a sequence of " + std::to_string(sequence_length) + " tokens",
                   .got = std::to_string(tokens_between(documents_, begin, end)) + " tokens",
                   .hint = "give more text or a smaller sequence_length"});
    parts_.push_back({first, last, last - first});
    begin = end;
  }
  first_segment_.push_back(static_cast<std::int64_t>(segments_.size()));
  if (!documents_.parts.empty()) weigh_parts();
}

void PackedSequences::pack_documents(std::int64_t begin_document, std::int64_t documents_end,
                                     std::int64_t sequence_length) {
  std::int64_t room = 0;
  for (std::int64_t document = begin_document; document < documents_end; ++document) {
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

void PackedSequences::pack_windows(std::int64_t begin_document, std::int64_t documents_end,
                                   std::int64_t sequence_length) {
  const std::int64_t begin = documents_.offsets[static_cast<std::size_t>(begin_document)];
  const std::int64_t windows = tokens_between(documents_, begin_document, documents_end) / sequence_length;
  for (std::int64_t i = 0; i < windows; ++i) {
    const auto window = static_cast<std::int64_t>(segments_.size());
    first_segment_.push_back(window);
    segments_.push_back({begin + i * sequence_length, begin + (i + 1) * sequence_length, window});
  }
}

void PackedSequences::weigh_parts() {
  const auto weight = [&](std::size_t i) { return documents_.parts[i].weight; };
  double scale = 0;  // tokens an epoch for a weight of 1
  for (std::size_t i = 0; i < parts_.size(); ++i)
    scale = std::max(scale, static_cast<double>(tokens(parts_[i].begin, parts_[i].end)) / weight(i));
  double total = 0;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    Part& part = parts_[i];
    const double times = scale * weight(i) / static_cast<double>(tokens(part.begin, part.end));
    const double sequences = std::round(times * static_cast<double>(part.end - part.begin));
    total += sequences;
    if (total > kMostInEpoch)
      throw Error({.who = documents_.parts[i].source,
                   .expected = fmt::format("a mixture of at most {} sequences an epoch", kMostInEpoch),
                   .got = "more",
                   .hint = fmt::format("it would come {:.0f} times in one: give it more text or less weight", times)});
    part.in_epoch = static_cast<std::int64_t>(sequences);
  }
}

std::int64_t PackedSequences::tokens(std::int64_t begin, std::int64_t end) const {
  const auto segment = [&](std::int64_t sequence) {
    return segments_.begin() + first_segment_[static_cast<std::size_t>(sequence)];
  };
  return std::accumulate(segment(begin), segment(end), std::int64_t{0},
                         [](std::int64_t sum, const SegmentSource& s) { return sum + s.end - s.begin; });
}

std::int64_t PackedSequences::tokens() const { return tokens(0, count()); }

std::int64_t PackedSequences::in_epoch() const {
  return std::accumulate(parts_.begin(), parts_.end(), std::int64_t{0},
                         [](std::int64_t sum, const Part& part) { return sum + part.in_epoch; });
}

std::int64_t PackedSequences::units() const {
  std::int64_t units = 0;
  for (std::size_t i = 0; i < segments_.size(); ++i)
    units += i == 0 || segments_[i].document != segments_[i - 1].document;
  return units;
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

std::string fingerprint(const PackedSequences& sequences) {
  Hasher128 hasher;
  const std::string documents = fingerprint(sequences.documents_);
  hasher.add(std::span<const char>(documents));
  for (const PackedSequences::SegmentSource& segment : sequences.segments_) {
    const std::array<std::int64_t, 2> place = {segment.begin, segment.end};
    hasher.add(std::span<const std::int64_t>(place));
  }
  hasher.add(std::span<const std::int64_t>(sequences.first_segment_));
  for (const PackedSequences::Part& part : sequences.parts_) {
    const std::array<std::int64_t, 3> numbers = {part.begin, part.end, part.in_epoch};
    hasher.add(std::span<const std::int64_t>(numbers));
  }
  return hex(hasher.hash());
}

}  // namespace qad
