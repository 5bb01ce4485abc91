// What the files of an export will be, from a student without values: names, types, places, and which parts of the
// student make which tensors. Found by packing a student that only pretends (autograd/core/dry_run.h), so that what is
// written part by part (stream_export.h) is what write_export.h writes at once.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data/files/planned_file.h"
#include "qad/layouts/exporter.h"
#include "qad/layouts/from_student.h"

namespace qad {

/// What is packed together: it shares scales, or tensors of the files. Indices are those of ExportParts, and of the
/// passengers.
struct ExportPiece {
  std::vector<std::size_t> layers{}, dense{}, caches{}, passengers{};
  std::vector<std::string> tensors{};  ///< of the files
  std::uint64_t values = 0;            ///< of the student
  std::uint64_t bytes = 0;             ///< in the files
  int block = -1;                      ///< of the model; -1: before or behind all of them
};

struct PlannedPlace {
  std::size_t file = 0, index = 0;  ///< files[file].tensors[index]
  std::string dtype;                ///< as FileTensor has it
  Shape shape;
  DType type = DType::u8;
};

struct ExportPlan {
  ExportModel outline;    ///< all names and formats; tensors without values
  ExportFiles described;  ///< the tensors of its files without values, and the metadata that follows from some
  std::map<std::string, std::string> texts;
  GgufMetadata metadata;
  std::vector<PlannedFile> files;
  std::string index;  ///< as SafetensorsFolderPlan has it
  std::map<std::string, PlannedPlace> places;
  std::vector<ExportPiece> pieces;  ///< in the order of the files
};

/// `student` and `quantizers`: of which no value is looked at. `dense_of` gives a tensor of ExportParts::dense with its
/// values, small ones alone are asked for. Throws what packing would, and (usage) where what is in a file follows from
/// values.
[[nodiscard]] ExportPlan plan_export(const Exporter& exporter, LanguageModel& student, const QuantizerSet& quantizers,
                                     const ExportModel& frame, std::uint64_t shard_bytes,
                                     const std::function<NamedTensor(std::size_t)>& dense_of);

/// Texts, and the headers of files, which stay as long as they are, once scales of keys and values are known.
void set_cache_scales(ExportPlan& plan, const Exporter& exporter, const std::vector<KeyValueScale>& scales,
                      std::uint64_t shard_bytes);

}  // namespace qad
