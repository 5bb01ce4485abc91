// The student of a recipe of which one part at a time is in memory.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "models/import/streamed_model.h"
#include "qad/layouts/stream_export.h"
#include "qad/recipe/recipe.h"
#include "qad/run/forward_check.h"
#include "qad/run/materials.h"

namespace qad {

class StreamedStudent {
 public:
  explicit StreamedStudent(const Recipe& recipe);

  [[nodiscard]] LanguageModel& model() { return source_.model(); }
  [[nodiscard]] StreamedModel& source() { return source_; }
  [[nodiscard]] QuantizerSet& quantizers() { return quantizers_; }
  /// Of the export, with a tokenizer if the layout asks for one.
  [[nodiscard]] ExportModel frame_for(const Exporter& layout) const;

  /// With values, of a plan.
  [[nodiscard]] NamedTensor dense(std::size_t i);
  [[nodiscard]] std::vector<KeyValueScale> cache_scales() const;
  [[nodiscard]] std::uint64_t stored_bytes(const ExportPiece& piece) const;

  /// Finds scales of inputs, keys and values; where an algorithm works by blocks, the pieces of each block too, which
  /// are written there and then.
  void calibrate(const Materials& materials, StreamedExport& out);
  /// Writes what is left.
  void write_pieces(StreamedExport& out);

  /// The most that both take, in bytes.
  [[nodiscard]] std::uint64_t memory(const ExportPlan& plan, const std::vector<TokenBatch>& batches);

 private:
  enum class Weights : std::uint8_t { fresh, found };  ///< whether their scales are still to be found
  [[nodiscard]] ExportModel part(const ExportPiece& piece, Weights weights) const;
  void write_piece(StreamedExport& out, std::size_t piece, ForwardCheck* check);
  void write_found(StreamedExport& out, std::size_t part);
  [[nodiscard]] std::vector<Parameter*> parameters_of(const ExportPiece& piece) const;
  [[nodiscard]] bool keeps_in_files(const std::vector<TokenBatch>& batches);
  [[nodiscard]] bool is_behind(const ExportPiece& piece);
  [[nodiscard]] std::size_t part_of(const ExportPiece& piece);
  /// The embedding, the blocks and what is behind them.
  [[nodiscard]] std::size_t parts() { return model().blocks().size() + 2; }

  const Recipe& recipe_;
  StreamedModel source_;
  QuantizerSet quantizers_;
  ExportParts parts_;
  ExportModel frame_, bare_;
};

}  // namespace qad
