// An export that is written part by part, and goes on where a killed process left it: the same files as write_export
// writes, each part read back and compared once it is there. What is done is told by a list of its own beside the
// files, with a hash of every part's bytes.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "autograd/base/output_folder.h"
#include "data/files/file_hash.h"
#include "data/files/mapped_file.h"
#include "qad/layouts/export_plan.h"
#include "qad/layouts/write_export.h"

namespace qad {

/// As export_folder, but for what is left there half done, which stays to be gone on with.
[[nodiscard]] OutputFolder streamed_export_folder(const std::filesystem::path& folder, const std::string& run);

class StreamedExport {
 public:
  /// Goes on in `out` with what it holds of the same work. `identity` says which: all that its bytes follow from.
  StreamedExport(OutputFolder& out, const Exporter& exporter, ExportPlan plan, const std::string& identity,
                 std::uint64_t shard_bytes);

  [[nodiscard]] const ExportPlan& plan() const { return plan_; }
  [[nodiscard]] std::string_view layout() const { return exporter_.name; }
  /// For whoever has something to keep as long as the export isn't whole.
  [[nodiscard]] std::filesystem::path state_folder() const;
  [[nodiscard]] bool is_done(std::size_t piece) const { return done_[piece]; }
  [[nodiscard]] std::size_t pieces_done() const;

  /// The piece's tensors to their places: packed, written, read back, compared, and noted. `part` has the layers,
  /// tensors and scales that the piece names, with their values.
  void write(std::size_t piece, const ExportModel& part);
  /// Once all are: headers, texts and other files, and all of it in place. `scales`: of keys and values, of them all.
  void finish(const std::vector<KeyValueScale>& scales, const ExportExtras& extras);

 private:
  void take_up(const std::string& text);
  [[nodiscard]] std::string hash_of(const ExportPiece& piece) const;
  void note(std::size_t piece);
  [[nodiscard]] std::span<const std::byte> written(const std::string& tensor) const;
  [[nodiscard]] Tensor read_back(const std::string& tensor) const;

  OutputFolder& out_;
  const Exporter& exporter_;
  ExportPlan plan_;
  std::uint64_t shard_bytes_;
  std::vector<PlannedFileWriter> files_;
  std::vector<std::shared_ptr<const MappedFile>> mapped_;
  std::vector<GrowingFileHash> hashes_;
  std::vector<bool> done_;
};

}  // namespace qad
