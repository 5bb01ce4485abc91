// Calibration of a student of which one part at a time is in memory: loads each part's masters, keeps what it gives (in
// memory, or in files where that has no room), and notes at its end how far it has come.
#pragma once

#include <filesystem>
#include <functional>
#include <vector>

#include "models/import/streamed_model.h"
#include "qad/calib/by_block.h"
#include "qad/checkpoint/run_inputs.h"
#include "qad/quant/attach.h"

namespace qad {

/// A folder that says how far a calibration has come; its files are hidden, so that they are no files of an export.
struct CalibrationFolder {
  std::filesystem::path path;

  [[nodiscard]] std::filesystem::path progress() const { return path / ".calibration.h5"; }
  /// What part `part` reads of a batch.
  [[nodiscard]] std::filesystem::path state(std::size_t part, std::size_t batch) const;
};

/// Of what a part gives, for all batches.
[[nodiscard]] std::uint64_t state_bytes(const ModelConfig& model, const std::vector<TokenBatch>& batches);

class StreamedCalibration final : public PartsInTurn {
 public:
  struct Job {
    StreamedModel& source;
    QuantizerSet& quantizers;
    const std::vector<TokenBatch>& batches;
    const RunInputs& inputs;
    /// Called at each part's end, before its values go; may be empty.
    std::function<void(std::size_t part)> part_found;
    bool needs_head = false;  ///< its weight is looked at
    bool in_files = false;    ///< what parts give is kept there
  };
  /// Goes on where the folder says, unless `anew`; then quantizers have what they had seen.
  StreamedCalibration(CalibrationFolder folder, Job job, bool anew);
  ~StreamedCalibration() override;

  [[nodiscard]] std::size_t first() const override { return first_; }
  void begin(std::size_t part) override;
  void end(std::size_t part) override;
  [[nodiscard]] Tensor state(std::size_t batch) const override;
  void set_state(std::size_t batch, const Tensor& x_TC) override;

  /// Parts there are: the embedding, the blocks and what is behind them.
  [[nodiscard]] std::size_t parts() const { return job_.source.model().blocks().size() + 2; }

 private:
  [[nodiscard]] bool take_up();
  [[nodiscard]] std::vector<Parameter*> parameters_of(std::size_t part) const;
  void save(std::size_t next);
  void write_state(std::size_t part, std::size_t batch, const Tensor& x_TC) const;
  [[nodiscard]] Tensor read_state(std::size_t part, std::size_t batch) const;

  CalibrationFolder folder_;
  Job job_;
  std::size_t first_ = 0, current_ = 0;
  std::vector<Tensor> states_;  // unless they are in files
  double saved_ = 0;            // when, in seconds
};

}  // namespace qad
