#include "qad/run/streamed_calibration.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "autograd/base/atomic_file.h"
#include "autograd/base/clock.h"
#include "autograd/base/error.h"
#include "autograd/base/log.h"
#include "autograd/core/storage.h"
#include "data/files/mapped_file.h"
#include "qad/checkpoint/checkpoint.h"
#include "qad/run/calibration_state.h"

namespace qad {
namespace fs = std::filesystem;
namespace {

constexpr double kSecondsBetweenSaves = 30;
constexpr const char* kNext = "part";

}  // namespace

fs::path CalibrationFolder::state(std::size_t part, std::size_t batch) const {
  return path / fmt::format(".state-{}-{}", part, batch);
}

StreamedCalibration::StreamedCalibration(CalibrationFolder folder, Job job, bool anew)
    : folder_(std::move(folder)), job_(std::move(job)), states_(job_.batches.size()), saved_(steady_seconds()) {
  if (anew || !take_up()) {
    std::error_code ignored;
    fs::remove_all(folder_.path, ignored);
    create_folders(folder_.path);
    job_.quantizers.observe();
    first_ = 0;
  }
}

StreamedCalibration::~StreamedCalibration() = default;

std::uint64_t state_bytes(const ModelConfig& model, const std::vector<TokenBatch>& batches) {
  std::int64_t tokens = 0;
  for (const TokenBatch& batch : batches) tokens += batch.size();
  return static_cast<std::uint64_t>(tokens * model.hidden_size) * sizeof(float);
}

bool StreamedCalibration::take_up() {
  if (!fs::exists(folder_.progress())) return false;
  try {
    const CheckpointContent content = load_checkpoint(folder_.progress());
    check_inputs(job_.inputs, content, folder_.progress().string());
    first_ = static_cast<std::size_t>(std::get<std::int64_t>(content.numbers.at(kNext)));
    take_calibration(content, folder_.progress().string(), job_.quantizers);
    if (!job_.in_files && first_ < parts())
      for (std::size_t i = 0; i < states_.size(); ++i) states_[i] = read_state(first_, i);
    log_info("calibration goes on after {} of {} parts", first_, parts());
    return true;
  } catch (const Error& error) {
    log_warning("calibration begins again: {}", error.what());
    return false;
  }
}

std::vector<Parameter*> StreamedCalibration::parameters_of(std::size_t part) const {
  LanguageModel& model = job_.source.model();
  std::vector<Parameter*> found = parameters_of_part(model, part);
  if (part != 0 && !job_.needs_head) std::erase(found, model.head().members.front().weight.get());
  return found;
}

void StreamedCalibration::begin(std::size_t part) {
  current_ = part;
  for (Parameter* one : parameters_of(part)) job_.source.load(*one, StreamedModel::As::masters);
}

void StreamedCalibration::end(std::size_t part) {
  if (job_.part_found) job_.part_found(part);
  for (Parameter* one : parameters_of(part)) job_.source.unload(*one);
  release_cached_storage();
  current_ = part + 1;
  const double now = steady_seconds();
  if (job_.in_files || part + 1 == parts() || now - saved_ >= kSecondsBetweenSaves) save(part + 1);
}

void StreamedCalibration::save(std::size_t next) {
  if (!job_.in_files && next < parts())
    for (std::size_t i = 0; i < states_.size(); ++i) write_state(next, i, states_[i]);
  CheckpointContent content;
  content.numbers[kNext] = static_cast<std::int64_t>(next);
  add_calibration(job_.quantizers, content);
  add_inputs(job_.inputs, content);
  save_checkpoint(folder_.progress(), content);
  for (const auto& entry : fs::directory_iterator(folder_.path)) {
    const std::string name = entry.path().filename().string();
    const bool is_state = name.starts_with(".state-");
    if (is_state && (next == parts() || !name.starts_with(fmt::format(".state-{}-", next)))) fs::remove(entry.path());
  }
  saved_ = steady_seconds();
}

Tensor StreamedCalibration::state(std::size_t batch) const {
  return job_.in_files ? read_state(current_, batch) : states_[batch];
}

void StreamedCalibration::set_state(std::size_t batch, const Tensor& x_TC) {
  if (job_.in_files) write_state(current_ + 1, batch, x_TC);
  else states_[batch] = x_TC;
}

void StreamedCalibration::write_state(std::size_t part, std::size_t batch, const Tensor& x_TC) const {
  const Tensor floats = as_f32(x_TC);
  write_file_atomically(folder_.state(part, batch), {reinterpret_cast<const char*>(floats.raw()), floats.bytes()});
}

Tensor StreamedCalibration::read_state(std::size_t part, std::size_t batch) const {
  const fs::path file = folder_.state(part, batch);
  const MappedFile mapped(file, "what a part of the model gave");
  const Tensor floats({job_.batches[batch].size(), job_.source.model().config().hidden_size});
  if (mapped.bytes().size() != floats.bytes() || !read_pages(mapped.bytes()))
    throw Error({.who = file.string(),
                 .expected = fmt::format("{} bytes", floats.bytes()),
                 .got = std::to_string(mapped.bytes().size())});
  std::memcpy(floats.raw(), mapped.bytes().data(), floats.bytes());
  return floats;
}

}  // namespace qad
