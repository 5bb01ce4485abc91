// A run's checkpoints: step-NNNNNNNN.h5, of which the last few are kept, and best.h5.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "qad/io/checkpoint.h"

namespace qad {

class CheckpointFolder {
 public:
  struct Found {
    std::filesystem::path file;
    CheckpointContent content;
  };

  /// `keep`: how many step checkpoints stay; at least 1.
  CheckpointFolder(std::filesystem::path folder, std::int64_t keep);

  /// Writes step-NNNNNNNN.h5, then removes older ones beyond `keep`. Returns the file.
  std::filesystem::path save(std::int64_t step, const CheckpointContent& content) const;
  void save_best(const CheckpointContent& content) const;

  /// The newest step checkpoint that is whole; a damaged one is named in a warning and passed over. Nothing if there is none.
  [[nodiscard]] std::optional<Found> newest_whole() const;
  /// best.h5, if it is there; throws if it is damaged.
  [[nodiscard]] std::optional<Found> best() const;
  /// step-*.h5, newest first.
  [[nodiscard]] std::vector<std::filesystem::path> steps() const;

 private:
  std::filesystem::path folder_;
  std::int64_t keep_;
};

}  // namespace qad
