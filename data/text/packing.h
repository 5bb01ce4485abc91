// Sequences: documents cut and put together so that each has at most sequence_length tokens.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/text/batch.h"
#include "data/text/data_config.h"
#include "data/text/documents.h"

namespace qad {

/// Documents in sequences of segments.
///
/// Packing::documents: whole documents, in order, as long as they fit; one that does not fit begins the next sequence.
/// A document longer than a sequence is cut into pieces, each a segment of its own. Packing::concatenate: sequence i is
/// tokens [i·L, (i+1)·L) of all documents end to end, as one segment; what is left over at the end is dropped.
/// Statistics "over documents" are then over sequences.
///
/// A sequence holds documents of one part of a mixture alone. In an epoch every part comes so often that its share of
/// the tokens is its share of the weights, as near as whole sequences go: the part that is largest for its weight comes
/// once, the others once or more.
class PackedSequences {
 public:
  /// Sequences [begin, end) are one part's; so many of them come in an epoch.
  struct Part {
    std::int64_t begin, end, in_epoch;
  };

  /// Throws Error when there is not one whole sequence, of each part.
  PackedSequences(Documents documents, Packing packing, std::int64_t sequence_length);

  [[nodiscard]] std::int64_t count() const { return static_cast<std::int64_t>(first_segment_.size()) - 1; }
  [[nodiscard]] std::int64_t tokens() const;                                      ///< in all sequences
  [[nodiscard]] std::int64_t tokens(std::int64_t begin, std::int64_t end) const;  ///< in sequences [begin, end)
  [[nodiscard]] const std::vector<Part>& parts() const { return parts_; }         ///< one, unless it is a mixture
  [[nodiscard]] std::int64_t in_epoch() const;  ///< sequences of an epoch; count() unless it is a mixture
  /// How many documents statistics are over.
  [[nodiscard]] std::int64_t units() const;
  [[nodiscard]] const Documents& documents() const { return documents_; }
  [[nodiscard]] bool has_labels() const;  ///< whether any batch can have one

  /// These sequences as one batch, in this order.
  [[nodiscard]] TokenBatch batch(std::span<const std::int64_t> sequences) const;
  /// Sequences [begin, end), the end cut to count().
  [[nodiscard]] TokenBatch batch(std::int64_t begin, std::int64_t end) const;

 private:
  struct SegmentSource {
    std::int64_t begin, end, document;  ///< tokens [begin, end) of documents_.ids
  };
  void pack_documents(std::int64_t begin, std::int64_t end, std::int64_t sequence_length);
  void pack_windows(std::int64_t begin, std::int64_t end, std::int64_t sequence_length);
  void weigh_parts();
  friend std::string fingerprint(const PackedSequences& sequences);
  [[nodiscard]] std::int32_t label_of(std::int64_t token, const SegmentSource& segment) const;
  void append(const SegmentSource& segment, TokenBatch& batch) const;

  Documents documents_;
  std::vector<SegmentSource> segments_;
  std::vector<std::int64_t> first_segment_;  ///< [sequences + 1]
  std::vector<Part> parts_;
};

/// XXH3-128 of all that training sees of a text, 32 hexadecimal digits: ids, labels, and how they lie in sequences and
/// parts. The same text in the same recipe gives the same digits.
[[nodiscard]] std::string fingerprint(const PackedSequences& sequences);

}  // namespace qad
