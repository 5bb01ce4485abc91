#include "qad/report/tensorboard_log.h"

#include <chrono>
#include <cmath>
#include <string>

#include "autograd/base/atomic_file.h"
#include "qad/report/event_file.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::vector<Scalar> scalars_of(const MetricsRecord& record) {
  std::vector<Scalar> scalars;
  const auto add = [&](const std::string& tag, auto value) {
    if (std::isfinite(static_cast<double>(value))) scalars.push_back({tag, static_cast<double>(value)});
  };
  const StepDone& training = record.training;
  add("tokens", training.tokens);
  if (training.step > 0) {
    add("loss", training.loss);
    add("lr", training.lr);
    add("grad_norm", training.grad_norm);
    add("tokens_per_second", training.tokens_per_second);
    add("saturated_weights", training.saturated_weights);
    add("saturated_activations", training.saturated_activations);
  }
  if (training.rollout)
    visit_fields(*training.rollout,
                 [&](const char* name, double figure) { add(std::string("rollout/") + name, figure); });
  if (record.eval)
    visit_fields(*record.eval, [&](const char* name, auto figure) { add(std::string("eval/") + name, figure); });
  return scalars;
}

std::string bytes_of(const MetricsRecord& record) {
  return scalars_record(seconds_since_1970(), record.training.step, scalars_of(record));
}

}  // namespace

void bring_events_up_to_date(const fs::path& file, const fs::path& metrics, std::int64_t end) {
  const std::string contents = fs::exists(file) ? read_file(file, "a TensorBoard event file", kAnySize) : "";
  const KeptEvents kept = events_before(contents, end);
  if (kept.bytes == 0) write_file_atomically(file, event_file_header(seconds_since_1970()));
  else if (kept.bytes < contents.size()) fs::resize_file(file, kept.bytes);  // in place: TensorBoard may have it open
  std::string missing;
  if (fs::exists(metrics))
    for (const MetricsRecord& record : read_metrics(metrics))
      if (record.training.step > kept.last_step) missing += bytes_of(record);
  if (!missing.empty()) append_bytes(file, missing);
}

void TensorBoardLog::run_started(const RunStarted& event) {
  waiting_.reset();
  const std::int64_t end = event.first_step + (event.evaluation_pending ? 0 : 1);
  effort_.attempt([&] { bring_events_up_to_date(file_, metrics_, end); });
}

void TensorBoardLog::step_done(const StepDone& event) {
  if (event.eval_follows) waiting_ = event;
  else add({event, std::nullopt});
}

void TensorBoardLog::eval_done(const EvalDone& event) {
  MetricsRecord record{waiting_.value_or(StepDone()), event.figures};
  record.training.step = event.step;
  record.training.tokens = event.tokens;
  waiting_.reset();
  add(record);
}

void TensorBoardLog::add(const MetricsRecord& record) {
  effort_.tell();
  if (!effort_.has_failed()) effort_.attempt([&] { append_bytes(file_, bytes_of(record)); });
}

}  // namespace qad
