#include "qad/run/calibrate_run.h"

#include <chrono>

#include "autograd/base/interrupt.h"
#include "autograd/base/log.h"
#include "autograd/ranks/communicator.h"
#include "qad/calib/algorithms.h"
#include "qad/calib/calibrate.h"
#include "qad/calib/unseen_experts.h"
#include "qad/checkpoint/checkpoint.h"
#include "qad/run/calibration_state.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kBetweenCalibrationSaves{30};
constexpr const char* kBatches = "batches";

void save(const Student& student, const Materials& materials, std::size_t batches, const fs::path& file) {
  CheckpointContent content;
  content.numbers[kBatches] = static_cast<std::int64_t>(batches);
  add_calibration(student.quantizers, content);
  add_inputs(materials.inputs, content);
  save_checkpoint(file, content);
}

// The batches that the quantizers have seen; a file that is damaged or of other inputs is as none.
std::size_t take_up(Student& student, const Materials& materials, const fs::path& file) {
  student.quantizers.observe();
  if (!fs::exists(file)) return 0;
  try {
    const CheckpointContent content = load_checkpoint(file);
    check_inputs(materials.inputs, content, file.string());
    const auto batches = static_cast<std::size_t>(std::get<std::int64_t>(content.numbers.at(kBatches)));
    take_calibration(content, file.string(), student.quantizers);
    log_info("calibration goes on after {} of {} batches", batches, materials.calibration.size());
    return batches;
  } catch (const Error& error) {
    log_warning("calibration begins again: {}", error.what());
    student.quantizers.observe();
    return 0;
  }
}

}  // namespace

void calibrate_run(Student& student, const Materials& materials, const RunFolder& folder,
                   const CalibrateConfig& config) {
  const fs::path file = folder.calibration();
  const bool alone = ranks().is_alone();  // several ranks are done sooner, and begin again
  if (!alone) student.quantizers.observe();
  std::size_t done = alone ? take_up(student, materials, file) : 0;
  Clock::time_point saved = Clock::now();
  const auto batch_done = [&](std::size_t batches) {
    done = batches;
    if (!alone || Clock::now() - saved < kBetweenCalibrationSaves) return;
    save(student, materials, done, file);
    saved = Clock::now();
  };
  try {
    calibrate_further(*student.model, student.quantizers, materials.calibration, done, batch_done, {}, config);
    warn_of_unseen_experts(*student.model);
  } catch (const Stopped&) {
    if (works_by_block(student.quantizers)) {
      log_info("stopped in its calibration, which goes by blocks and begins again when the run is resumed");
      throw;
    }
    save(student, materials, done, file);
    log_info("stopped after {} of {} batches of calibration, which are saved", done, materials.calibration.size());
    throw;
  }
}

}  // namespace qad
