// Steps that read text: the next sequences of a loader, in micro-batches.
#pragma once

#include "data/text/loader.h"
#include "qad/loss/loss.h"
#include "qad/train/stage.h"
#include "qad/train/train_config.h"

namespace qad {

class TextStage final : public Stage {
 public:
  /// `teacher` may be null for cross-entropy. All of them must outlive the stage.
  TextStage(const TrainConfig& config, const LossConfig& loss, LanguageModel& student, LanguageModel* teacher,
            Loader& data)
      : config_(config), loss_(loss), student_(student), teacher_(teacher), data_(data) {}

  [[nodiscard]] StepResult run(std::int64_t step, AdamW& optimizer) override;
  [[nodiscard]] std::int64_t position() const override { return data_.position(); }
  void seek(std::int64_t position) override { data_.seek(position); }

 private:
  TrainConfig config_;
  LossConfig loss_;
  LanguageModel& student_;
  LanguageModel* teacher_;
  Loader& data_;
};

}  // namespace qad
