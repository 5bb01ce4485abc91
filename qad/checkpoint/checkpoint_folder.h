// The checkpoints of a run: step-NNNNNNNN.h5, the newest few, and best.h5 beside them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "qad/checkpoint/checkpoint.h"

namespace qad {

class CheckpointFolder {
 public:
  /// `keep` of the newest stay, the one just written always. Nothing is touched before the first save.
  CheckpointFolder(std::filesystem::path folder, std::int64_t keep);

  /// Returns the file. Only when it is in place are older ones removed, and what a killed process left half written.
  /// Later steps, from which a resumed run went back, stay until they are written again.
  std::filesystem::path save(std::int64_t step, const CheckpointContent& content);
  std::filesystem::path save_best(const CheckpointContent& content);

  struct Found {
    std::filesystem::path file;
    CheckpointContent content;
  };
  /// Warns of every damaged one on the way. Nothing if the folder has none at all; throws if all of them are damaged,
  /// or if one is of a later format version.
  [[nodiscard]] std::optional<Found> newest_whole() const;
  /// Nothing if there is none; throws if it is damaged.
  [[nodiscard]] std::optional<Found> best() const;
  /// The step files, newest first, whole or not.
  [[nodiscard]] std::vector<std::filesystem::path> files() const;

 private:
  void prune(std::int64_t written_step) const;
  void remove_leftovers() const;

  std::filesystem::path folder_;
  std::int64_t keep_;
};

}  // namespace qad
